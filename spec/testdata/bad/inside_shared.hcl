group "g" {
  volume "shared" { size = "1MiB" }
  volume "other" { size = "1MiB" }
  volume "read" { size = "1MiB" }
  volume "a" { host_path = "/srv/a" }
  volume "b" { host_path = "/srv/a/b" }
  app "web" {
    image = "x"
    mount "shared" { path = "/shared" }
    mount "b" { path = "/b" }
    mount "other" { path = "/shared/allowed" }
    mount "read" {
      path      = "/read"
      read_only = true
    }
  }
  ambassador "proxy" {
    image = "x"
    mount "shared" {
      path      = "/data"
      read_only = true
    }
    mount "other" { path = "/data/other" }
    tmpfs "/data/other/deep" { size = "1MiB" }
    mount "a" { path = "/a" }
    file "/a/conf" { content = "" }
    mount "read" { path = "/read" }
    file "/read/allowed" { content = "" }
    file "/database" { content = "" }
  }
}
