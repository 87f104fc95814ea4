group "g" {
  update { healthy = "10s" }
  network { prefix = "10.0.0.0/8" }
  dns = ["192.0.2.53"]
  secret "s" {}
  init "migrate" { image = "x" }
  app "a" {
    image = "x"
    secret "s" {}
    probe "live" { exec = ["true"] }
  }
  ambassador "p" {
    image = "x"
    intercept { ports = [80] }
    dns { allow = ["example.com"] }
  }
}
