# A shop (web), a sidecar that ships its log (shipper), and HAProxy as the one door of both (proxy).
# Build the images first with `make images`. Or run the whole story: `sudo make demo`.

# The address of the payments service (port 8080) and of the log service (port 8081). The default is
# for documentation and answers in `make demo` alone. Elsewhere give yours: --var world=ADDRESS.
variable "world" {
  type    = string
  default = "198.51.100.10"
}

# The host's port of the shop's page.
variable "port" {
  type    = number
  default = 8088
}

group "checkout" {
  labels = { example = "checkout" }

  app "web" {
    image = "oci-archive:../../build/images/web.tar"
    env = {
      PAYMENTS_URL = "http://${upstream.payments}" # becomes 127.0.0.1:9001
      LOG_FILE     = "/var/log/checkout/orders.log"
    }
    mount "logs" { path = "/var/log/checkout" }
    probe "ready" { http = { port = 8080 } }
    resources {
      cpu    = 0.5
      memory = "64MiB"
      pids   = 32
    }
    stop { timeout = "5s" }
  }

  sidecar "shipper" {
    image = "oci-archive:../../build/images/shipper.tar"
    env = {
      LOGS_URL = "http://${upstream.logs}"
      LOG_FILE = "/logs/orders.log"
    }
    mount "logs" {
      path      = "/logs"
      read_only = true
    }
    resources {
      cpu    = 0.25
      memory = "64MiB"
      pids   = 32
    }
  }

  ambassador "proxy" {
    image = "oci-archive:../../build/images/haproxy.tar"
    env   = { WORLD = var.world }
    upstream "payments" {
      listen = 9001
      hosts  = ["payments.example.com"] # a program that calls this name finds the proxy, unchanged
    }
    upstream "logs" { listen = 9002 }
    probe "ready" { tcp = { port = 9001 } } # the others start when it listens
    publish "http" {
      host = var.port
      port = 8088
    }
    allow = ["${var.world}/32:8080/tcp", "${var.world}/32:8081/tcp"]
    file "/etc/haproxy/haproxy.cfg" { source = "haproxy.cfg" }
    resources {
      cpu    = 0.5
      memory = "64MiB"
      pids   = 16
    }
    stop { timeout = "10s" }
  }

  volume "logs" { size = "8MiB" }
}
