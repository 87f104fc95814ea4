# An uptime monitor. The exporter itself is the door, since asking the world is its work: it may ask the sites that are
# listed, and Prometheus asks it on its published port.

variable "sites" { default = ["198.51.100.87:8080", "198.51.100.88:8080"] }

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "blackbox" {
  app "list" { # the targets, for Prometheus' http_sd
    image   = "${local.images}/busybox.tar"
    user    = local.user
    command = ["/bin/httpd", "-f", "-p", "127.0.0.1:8000", "-h", "/www"]
    file "/www/targets.json" { content = jsonencode([{ targets = var.sites }]) }
    probe "ready" { http = { port = 8000, path = "/targets.json" } }
    resources { memory = "16MiB" }
    stop { signal = "SIGKILL" }
  }

  ambassador "blackbox" {
    image   = "${local.images}/blackbox.tar"
    user    = local.user
    command = ["/usr/bin/prometheus-blackbox-exporter", "--config.file=/etc/blackbox.yml", "--web.listen-address=:9115"]
    publish "probe" {
      host = 9115
      port = 9115
    }
    allow = [for s in var.sites : "${s}/tcp"]
    file "/etc/blackbox.yml" {
      reload  = "SIGHUP"
      content = <<-EOT
        modules:
          http: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}
      EOT
    }
    probe "ready" { http = { port = "probe", path = "/-/healthy" } }
    resources { memory = "64MiB" }
  }
}
