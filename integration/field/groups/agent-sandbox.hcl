# A sandbox whose programs take no proxy settings. All TCP that they send to the world is led to HAProxy, which lets TLS
# through for the names on its list, and looks those names up itself.

variable "resolver" { default = "198.51.100.53" }
variable "names" { default = ["api.example.com", "packages.example.com"] }

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "agent-sandbox" {
  network {
    dns { servers = [var.resolver] }
  }

  app "agent" {
    image        = "${local.images}/python.tar"
    user         = local.user
    capabilities = []
    command      = ["/bin/sleep", "2147483647"]
    mount "work" { path = "/work" }
    workdir = "/work"
    resources {
      cpu    = 1
      memory = "512MiB"
      pids   = 128
      disk   = "512MiB"
    }
    stop { signal = "SIGKILL" }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    intercept { port = 15001 }
    quota = "10GiB"
    rate { out = "5Mbit" }
    file "/etc/haproxy/names" { content = join("\n", var.names) }
    file "/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        global
            log stdout format raw local0

        resolvers world
            parse-resolv-conf

        defaults
            mode tcp
            log global
            timeout connect 5s
            timeout client 1m
            timeout server 1m

        frontend called
            bind 127.0.0.1:15001
            log-format "%[var(sess.asked)] state %ts"
            tcp-request inspect-delay 2s
            tcp-request content set-var(sess.asked) req.ssl_sni
            tcp-request content reject unless { req.ssl_sni -i -f /etc/haproxy/names }
            tcp-request content do-resolve(sess.to,world,ipv4) req.ssl_sni
            tcp-request content reject unless { var(sess.to) -m found }
            tcp-request content set-dst var(sess.to)
            tcp-request content set-dst-port int(443)
            default_backend asked

        backend asked
            server world 0.0.0.0:0
      EOT
    }
    resources { memory = "64MiB" }
  }

  volume "work" {
    size  = "256MiB"
    owner = local.user
  }
}
