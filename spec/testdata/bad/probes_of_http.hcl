group "g" {
  app "a" {
    image = "x"
    probe "ready" { http = { port = "wbe", scheme = "HTTPS" } }
    probe "live" { http = { port = "quic", method = "get" } }
    probe "startup" { http = { port = "both", host = "https://shop.example" } }
  }
  app "b" {
    image = "x"
    probe "ready" { http = { port = 80, host = "shop.example:0", headers = { Host = "shop.example", "a b" = "x", connection = "close" } } }
    probe "live" { http = { port = 80, https = "yes", headers = { A = "x\ny", "X-a" = "1", "x-A" = "2" } } }
    probe "startup" { http = { port = 80, headers = "Authorization: x", method = "CONNECT" } }
  }
  app "c" {
    image = "x"
    probe "ready" { http = { port = 80, headers = { "X-Long" = join("", [for i in range(1000) : "12345"]) } } }
    probe "live" { tcp = { port = 80, https = true } }
    probe "startup" {
      http         = { port = 80 }
      http_headers = {}
    }
  }
  ambassador "proxy" {
    image = "proxy"
    upstream "both" { listen = 81 }
    publish "both" {
      host = 82
      port = 82
    }
    publish "web" {
      host = 80
      port = 80
    }
    publish "quic" {
      host     = 80
      port     = 80
      protocol = "udp"
    }
  }
}
group "sealed" {
  egress = "none"
  app "a" {
    image = "x"
    probe "ready" { tcp = { port = "http" } }
  }
}
