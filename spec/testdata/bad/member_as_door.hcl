group "g" {
  egress = "direct"
  app "a" {
    image = "x"
    intercept { port = 15001 }
    rate { out = "2Mbit" }
    quota = "5GiB"
    unsafe { capabilities = ["NET_ADMIN"] }
  }
}
