group "g" {
  egress = "none"
  app "a" {
    image = "x"
    resources { cpu = 1e99999 }
  }
}
