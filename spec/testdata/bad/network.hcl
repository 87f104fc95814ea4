group "g" {
  network {
    prefix = "10.0.0.0/8"
    mode   = "host"
    dns "x" {
      servers = ["192.0.2.53"]
      search  = ["example.com"]
    }
    dns { servers = ["192.0.2.53"] }
  }
  network {}
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
