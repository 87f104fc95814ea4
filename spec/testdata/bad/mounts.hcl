group "g" {
  egress = "none"
  app "a" {
    image = "x"
    mount "lgos" { path = "/a" }
    mount "logs" { path = "logs" }
    mount "logs" { path = "/b" }
    mount "logs" { path = "/b/" }
    mount "logs" { path = "/proc/x" }
    mount "logs" { path = "/sys" }
    mount "logs" { path = "/x/../dev/pts" }
    mount "logs" { path = "/" }
    mount "logs" {}
    mount "logs" {
      path = "/c"
      read_only = "maybe"
    }
    file "/b" { content = "x" }
  }
  app "b" {
    image = "x"
    mount "logs" {
      path       = "/a"
      from_image = true
    }
    mount "logs" {
      path       = "/b"
      from_image = true
    }
    mount "host" {
      path       = "/c"
      from_image = true
      read_only  = true
    }
    mount "memory" {
      path       = "/dev/shm"
      from_image = true
    }
  }
  volume "logs" {}
  volume "memory" {}
  volume "host" { host_path = "/srv/data" }
}
group "h" {
  egress = "none"
  app "a" {
    image = "x"
    mount "logs" { path = "/a" }
  }
}
