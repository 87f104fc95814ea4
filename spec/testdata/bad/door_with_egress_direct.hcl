group "g" {
  egress = "direct"
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    intercept { port = 15001 }
    rate { out = "2Mbit" }
    quota   = "5GiB"
    sysctls = { "net.ipv4.ping_group_range" = "0 0" }
  }
}
