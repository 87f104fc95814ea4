group "g" {
  egress = "none"
  app "a" {
    image = "x"
    restart { policy = "always" policy = "never" }
  }
}
