group "g" {
  egress = "none"
  app "a" {
    image = "x"
    image = "y"
    envv = {}
  }
}
