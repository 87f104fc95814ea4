group "g" {
  ambassador "proxy" {
    image = "x"
    after = ["a"]
  }
  init "migrate" {
    image = "x"
    after = ["proxy"]
  }
  sidecar "a" {
    image = "x"
    after = ["a"]
  }
  sidecar "b" {
    image = "x"
    after = ["d", "metrics"]
  }
  sidecar "c" {
    image = "x"
    after = ["b", "proxy", "migrate"]
  }
  sidecar "d" {
    image = "x"
    after = ["c", "web", "metrisc"]
  }
  sidecar "metrics" {
    image = "x"
    after = "a"
  }
  sidecar "e" {
    image = "x"
    after = [1, ["x"]]
  }
  app "web" {
    image = "x"
    after = ["metrics", "db", "wbe", "web"]
  }
  app "db" {
    image = "x"
    after = ["api"]
  }
  app "api" {
    image = "x"
    after = ["db"]
  }
}
