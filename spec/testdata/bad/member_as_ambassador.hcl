group "g" {
  egress = "none"
  app "a" {
    image = "x"
    publish "http" {
      host = 80
      port = 80
    }
    upstream "u" { listen = 1 }
    allow = []
  }
  sidecar "s" {
    image = "x"
    publish = 1
  }
}
