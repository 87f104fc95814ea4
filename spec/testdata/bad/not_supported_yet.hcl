group "g" {
  egress = "none"
  secret "s" {}
  app "a" {
    image = "x"
    secret "s" {}
  }
}
