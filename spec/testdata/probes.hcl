# What a probe of HTTP can ask, and ports by name.
group "probed" {
  app "web" {
    image = "web"
    probe "ready" {
      http = {
        port    = "web"
        path    = "/healthz"
        https   = true
        method  = "HEAD"
        host    = "shop.example:8443"
        headers = { authorization = "Bearer x", "x-probe" = group.name }
      }
    }
    probe "live" { http = { port = "9000", method = "GET", https = false, headers = {} } }
    probe "startup" { tcp = { port = "db" } }
  }
  sidecar "db" {
    image = "db"
    probe "ready" {
      image          = true
      timeout        = "2s"
      start_interval = "1s"
    }
    probe "startup" {
      tcp          = { port = 5432 }
      start_period = "1m"
    }
    probe "live" { image = true }
  }
  ambassador "proxy" {
    image = "proxy"
    upstream "db" { listen = 5432 }
    publish "web" {
      host = 443
      port = 8443
    }
    publish "quic" {
      host     = 443
      port     = 8444
      protocol = "udp"
    }
    probe "ready" { grpc = { port = "web" } }
  }
}
