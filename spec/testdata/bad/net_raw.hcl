group "g" {
  egress = "none"
  app "a" {
    image = "x"
    capabilities = ["NET_RAW"]
  }
}
