group "g" {
  egress = "none"
  app "a" {
    image = "x"
    env = { A = upstream.api }
  }
}
