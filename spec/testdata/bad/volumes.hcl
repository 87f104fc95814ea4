group "g" {
  egress = "none"
  app "a" { image = "x" }
  volume "a" { size = "1KiB" }
  volume "b" { size = "big" }
  volume "c" { sizes = "1MiB" }
  volume "d" {
    persistent = true
    size       = "1KiB"
  }
  volume "e" {
    persistent = true
    host_path  = "/srv/e"
  }
  volume "f" {
    host_path = "/srv/f"
    size      = "1GiB"
    owner     = "1000:1000"
    mode      = "0700"
  }
  volume "g" { persistent = "maybe" }
}
