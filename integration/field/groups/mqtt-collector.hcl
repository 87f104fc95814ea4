# Collects readings from a broker elsewhere and appends them to files of the day. Another program of the group hands
# them out.

variable "broker" { default = "198.51.100.89" } # port 1883

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "mqtt-collector" {
  app "collector" {
    image    = "${local.images}/mosquitto.tar"
    user     = local.user
    timezone = "Europe/Berlin"
    command  = ["/bin/sh", "-c", "mosquitto_sub -h 127.0.0.1 -p 1884 -i collector -c -q 1 -t 'hall/#' -F '%I %t %p' | while read -r line; do echo \"$line\" >> /data/$(date +%F).txt; done"]
    mount "data" { path = "/data" }
    resources { memory = "32MiB" }
  }

  sidecar "files" {
    image   = "${local.images}/busybox.tar"
    user    = local.user
    command = ["/bin/httpd", "-f", "-p", "127.0.0.1:8000", "-h", "/data"]
    mount "data" {
      path      = "/data"
      read_only = true
    }
    resources { memory = "16MiB" }
    stop { signal = "SIGKILL" }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    upstream "broker" { listen = 1884 }
    publish "files" {
      host = 8083
      port = 8083
    }
    allow = ["${var.broker}:1883/tcp"]
    file "/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        defaults
            timeout connect 2s
            timeout client 1h
            timeout server 1h

        listen broker
            mode tcp
            bind ${upstream.broker}
            server broker ${var.broker}:1883

        listen files
            mode http
            bind :8083
            server files 127.0.0.1:8000
      EOT
    }
    probe "ready" { tcp = { port = "broker" } }
    resources { memory = "64MiB" }
  }

  volume "data" {
    persistent = true
    size       = "256MiB"
    owner      = local.user
  }
}
