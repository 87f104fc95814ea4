group "g" {
  egress = "none"
  update { healthy = "10s" }
  secret "s" {}
  init "migrate" { image = "x" }
  app "a" {
    image = "x"
    secret "s" {}
    probe "live" { exec = ["true"] }
  }
}
