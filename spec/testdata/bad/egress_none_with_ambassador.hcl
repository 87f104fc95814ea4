group "g" {
  egress = "none"
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
