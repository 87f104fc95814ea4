group "g" {
  output_of { path = "/logs" }
  app "web" {
    image = "x"
    output_of { path = "/logs" }
  }
  init "first" {
    image = "x"
    output_of { path = "/logs" }
  }
  ambassador "proxy" {
    image = "x"
    output_of { path = "/logs" }
  }
  sidecar "empty" {
    image = "x"
    output_of {}
  }
  sidecar "relative" {
    image = "x"
    output_of { path = "logs" }
  }
  sidecar "root" {
    image = "x"
    output_of { path = "/" }
  }
  sidecar "kernel" {
    image = "x"
    output_of { path = "/proc/logs" }
  }
  sidecar "etc" {
    image = "x"
    output_of { path = "/etc" }
  }
  sidecar "taken" {
    image = "x"
    mount "data" { path = "/logs" }
    output_of { path = "/logs" }
  }
  sidecar "inside" {
    image = "x"
    mount "data" { path = "/logs/data" }
    file "/logs/conf" { content = "x" }
    output_of { path = "/logs" }
  }
  sidecar "twice" {
    image = "x"
    output_of { path = "/logs" }
    output_of { path = "/more" }
  }
  sidecar "other" {
    image = "x"
    output_of {
      path  = "/logs"
      group = "shop"
    }
  }
  sidecar "labelled" {
    image = "x"
    output_of "shop" { path = "/logs" }
  }
  sidecar "number" {
    image = "x"
    output_of { path = ["/logs"] }
  }
  volume "data" {}
}
