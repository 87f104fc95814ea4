# Ranges of published ports.
group "ranges" {
  app "web" { image = "web" }
  ambassador "proxy" {
    image = "proxy"
    publish "same" {
      host     = "10000-10100"
      protocol = "udp"
    }
    publish "from" {
      host = "10000-10002"
      port = 20000
    }
    publish "both" {
      address = "192.0.2.1"
      host    = "10003-10004"
      port    = "30000-30001"
    }
    publish "text" {
      host = "80"
      port = "81"
    }
    probe "ready" { tcp = { port = "text" } }
  }
}
