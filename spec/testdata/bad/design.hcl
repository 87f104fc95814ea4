variable "tag" {
  type    = string
  default = "1.4.2"
}

group "checkout" {
  app "web" {
    image = "registry.example/checkout:${var.tag}"
    env   = { PAYMENTS_URL = "http://${upstream.payments}" }   # becomes 127.0.0.1:9001
    mount "logs" { path = "/var/log/checkout" }
    probe "ready" { http = { port = 8080, path = "/healthz" } }
    resources {
      cpu    = 0.5
      memory = "128MiB"
      pids   = 64
    }
    restart { policy = "always" }
    stop    { timeout = "10s" }
  }

  sidecar "shipper" {
    image = "registry.example/shipper:3"
    mount "logs" {
      path      = "/logs"
      read_only = true
    }
  }

  ambassador "proxy" {
    image = "registry.example/haproxy:2.9"
    upstream "payments" { listen = 9001 }                       # what members call on localhost
    publish "http" {                                            # the only way in
      host = 8443
      port = 443
    }
    allow = ["203.0.113.0/24:443/tcp", "198.51.100.53:53/udp"]  # optional: what the door itself may reach
    file "/usr/local/etc/haproxy/haproxy.cfg" { source = "haproxy.cfg" }
    probe "ready" { tcp = { port = 9001 } }
  }

  volume "logs" { size = "64MiB" }
}
