# What containers print, shipped from the host: a shop that prints, and two sidecars that are given the
# group's output read-only (output_of). rsyslog sends the orders and the warnings of the shop as syslog,
# and a small shipper posts the orders over HTTP. Both reach the world through the ambassador alone.

# The address of the syslog service (port 5140) and of the log service (port 8081). The default is for
# documentation and answers in tests alone. Elsewhere give yours: --var world=ADDRESS.
variable "world" {
  type    = string
  default = "198.51.100.10"
}

group "shipped" {
  app "web" {
    image   = "oci-archive:../../build/images/busybox.tar"
    command = ["/bin/sh", "/shop.sh"]
    user    = "65534:65534"
    file "/shop.sh" { source = "shop.sh" }
    output {
      size  = "2MiB"
      split = true # the warnings in a file of their own, web.err.log
    }
    resources {
      memory = "32MiB"
      pids   = 16
    }
    stop { timeout = "1s" }
  }

  sidecar "rsyslog" {
    image        = "oci-archive:../../build/images/rsyslog.tar"
    capabilities = []
    output_of { path = "/var/log/group" }
    file "/etc/rsyslog.conf" { source = "rsyslog.conf" }
    resources {
      memory = "64MiB"
      pids   = 32
    }
  }

  sidecar "shipper" {
    image = "oci-archive:../../build/images/shipper.tar" # it runs as 65532:65532
    output_of { path = "/var/log/group" }
    env = {
      LOGS_URL = "http://${upstream.logs}"
      LOG_FILE = "/var/log/group/web.log"
    }
    resources {
      memory = "64MiB"
      pids   = 32
    }
  }

  ambassador "proxy" {
    image = "oci-archive:../../build/images/haproxy.tar"
    env   = { WORLD = var.world }
    upstream "logs" { listen = 9002 }
    upstream "syslog" { listen = 9003 }
    probe "ready" { tcp = { port = 9003 } }
    allow = ["${var.world}/32:8081/tcp", "${var.world}/32:5140/tcp"]
    file "/etc/haproxy/haproxy.cfg" { source = "haproxy.cfg" }
    resources {
      memory = "64MiB"
      pids   = 16
    }
  }
}
