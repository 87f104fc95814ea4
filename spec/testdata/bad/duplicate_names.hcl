group "g" {
  app "a" { image = "x" }
  sidecar "a" { image = "x" }
  ambassador "p" {
    image = "x"
    upstream "u" { listen = 1 }
    upstream "u" { listen = 2 }
    publish "h" {
      host = 1
      port = 1
    }
    publish "h" {
      host = 2
      port = 1
    }
  }
  volume "v" {}
  volume "v" {}
}
group "g" {
  app "a" { image = "x" }
  sidecar "a" { image = "x" }
  ambassador "p" {
    image = "x"
    upstream "u" { listen = 1 }
    upstream "u" { listen = 2 }
    publish "h" {
      host = 1
      port = 1
    }
    publish "h" {
      host = 2
      port = 1
    }
  }
  volume "v" {}
  volume "v" {}
}
