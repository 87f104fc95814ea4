group "g" {
  egress = "none"
  app "a" {
    image = "x"
    mount "/srv/data" { path = "/a" }
    mount "~/My Data" { path = "/b" }
    mount "v" {
      host_path = "/srv/data"
      path = "/c"
    }
    mount "v" {
      volume = "v"
      path = "/d"
    }
    tmpfs = ["/run"]
  }
  volume "v" {}
  volume "host" { host = "/srv/data" }
  volume "source" { source = "/srv/data" }
  volume "path" { path = "/srv/data" }
  volume "block" {
    hostPath { path = "/srv/data" }
  }
  volume "external" { external = true }
  volume "driver" { driver = "local" }
  volume "empty" {
    emptyDir {}
  }
  volume "tmpfs" { tmpfs = true }
  volume "uid" { uid = 1000 }
  volume "ro" { read_only = true }
}
