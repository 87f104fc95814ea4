group "g" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    allow = []
  }
}
