group "g" {
  egress = "none"
  app "a" {
    image = "x"
    env   = { C = try(file("absent.cfg"), "none") }
  }
}
