group "g" {
  egress = "none"
  app "a" {}
  app "b" { image = "" }
  app "c" { image = null }
}
