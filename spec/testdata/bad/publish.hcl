group "g" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    publish "a" { host = 1 }
    publish "b" { port = 1 }
    publish "c" {
      host = 0
      port = 65536
    }
    publish "d" {
      host = "http"
      port = 80.5
    }
    publish "e" {
      host = 5
      port = 5
      protocol = "TCP"
      address = "localhost"
    }
    publish "f" {
      host = 6
      port = 5
      protocol = "sctp"
      address = "0.0.0.0"
    }
    publish "g" {
      host = 7
      port = 5
      address = "224.0.0.1"
    }
    publish "h" {
      host = 8
      port = 1
    }
    publish "i" {
      host = 8
      port = 2
      address = "192.0.2.1"
    }
    publish "j" {
      host = 8
      port = 2
      protocol = "udp"
    }
  }
}
