group "g" {
  egress = "none"
  init "migrate" {
    image = "x"
    after = ["other"]
    on_failure = "restart"
    restart { policy = "never" }
    probe "ready" { tcp = { port = 1 } }
  }
  init "other" {
    image = "x"
    upstream "u" { listen = 1 }
  }
  app "a" { image = "x" }
}
