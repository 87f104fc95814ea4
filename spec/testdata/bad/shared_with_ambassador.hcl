group "g" {
  app "a" {
    image = "x"
    mount "v" { path = "/v" }
  }
  ambassador "p" {
    image = "x"
    mount "v" {
      path = "/v"
      read_only = true
    }
  }
  volume "v" {}
}
