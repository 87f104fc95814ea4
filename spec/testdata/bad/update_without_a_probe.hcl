group "g" {
  egress = "none"
  update { auto_revert = true }
  app "a" {
    image = "x"
    probe "live" { exec = ["true"] }
  }
}
