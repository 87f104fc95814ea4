group "g" {
  egress = "none"
  app "a" {
    image = "x"
    env = {
      "1A" = "x"
      "A=B" = "x"
      "" = "x"
      A = "x"
      A = "y"
      "ok.name" = "x"
    }
  }
}
