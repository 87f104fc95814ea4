group "g" {
  egress = "direct"
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
