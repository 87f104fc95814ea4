group "g" {
  egress = "none"
  labels { a = "b" }
  app "a" {
    image = "x"
    env { A = "b" }
    restart = "always"
    mount = "v"
  }
}
locals {
  inner { a = 1 }
}
