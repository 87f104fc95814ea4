group "g" {
  egress = "none"
  app "a" {
    image = "x"
    args  = ["${HOME:-/root}"]
  }
}
