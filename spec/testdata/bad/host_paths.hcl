group "g" {
  egress = "none"
  app "a" {
    image = "x"
    mount "etc" { path = "/a" }
    mount "local" { path = "/b" }
    mount "images" { path = "/c" }
    mount "log" { path = "/d" }
    mount "srv" { path = "/e" }
  }
  sidecar "s" {
    image = "x"
    mount "etc" {
      path      = "/a"
      read_only = true
    }
  }
  volume "relative" { host_path = "data" }
  volume "home" { host_path = "~/data" }
  volume "root" { host_path = "/" }
  volume "above" { host_path = "/var" }
  volume "docker" { host_path = "/var/run/docker.sock" }
  volume "dots" { host_path = "/srv/../run/./docker.sock" }
  volume "own" { host_path = "/var/lib/sallyport/volumes/other" }
  volume "own-run" { host_path = "/run/sallyport" }
  volume "proc" { host_path = "/proc/1/root" }
  volume "device" { host_path = "/dev/bus/usb" }
  volume "etc" { host_path = "/etc" }
  volume "local" { host_path = "/usr/local/share/../share" }
  volume "images" { host_path = "/var/lib/docker/volumes" }
  volume "log" { host_path = "/var/log" }
  volume "srv" { host_path = "/srv//checkout/" }
  volume "number" { host_path = ["/srv"] }
}
