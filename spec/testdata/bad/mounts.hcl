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
  volume "logs" {}
}
group "h" {
  egress = "none"
  app "a" {
    image = "x"
    mount "logs" { path = "/a" }
  }
}
