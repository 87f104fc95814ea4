group "g" {
  egress = "ambassador"
  app "a" { image = "x" }
}
