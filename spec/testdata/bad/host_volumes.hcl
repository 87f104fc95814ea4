group "g" {
  egress = "none"
  app "a" { image = "x" }
  volume "a" { host = "/srv/data" }
  volume "b" { persistent = true }
}
