group "g" {
  egress = "none"
  app "a" { image = "x" }
  volume "a" { size = "1KiB" }
  volume "b" { size = "big" }
  volume "c" { sizes = "1MiB" }
}
