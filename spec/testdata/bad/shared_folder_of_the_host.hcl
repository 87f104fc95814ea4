group "g" {
  app "a" {
    image = "x"
    mount "whole" { path = "/data" }
    mount "other" { path = "/other" }
  }
  ambassador "p" {
    image = "x"
    mount "part" {
      path      = "/data"
      read_only = true
    }
  }
  volume "whole" { host_path = "/srv/g" }
  volume "part" { host_path = "/srv/g/socket" }
  volume "other" { host_path = "/srv/g-other" }
}
