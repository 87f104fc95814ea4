# The sidecar pattern alone: the shop and the shipper of the checkout example, without an ambassador.
# With egress = "direct" every container may leave, and nothing from outside may enter. `plan` and
# `status` repeat it, so that you notice.

# The address of the payments service (port 8080) and of the log service (port 8081). The default is
# for documentation and answers in `make demo` alone. Elsewhere give yours: --var world=ADDRESS.
variable "world" {
  type    = string
  default = "198.51.100.10"
}

group "direct" {
  egress = "direct"

  app "web" {
    image = "oci-archive:../../build/images/web.tar"
    env = {
      PAYMENTS_URL = "http://${var.world}:8080"
      LOG_FILE     = "/var/log/checkout/orders.log"
    }
    mount "logs" { path = "/var/log/checkout" }
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
      LOGS_URL = "http://${var.world}:8081"
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

  volume "logs" { size = "8MiB" }
}
