group "g" {
  app "a" { image = "x" }
}
