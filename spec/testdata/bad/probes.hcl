group "g" {
  egress = "none"
  app "a" {
    image = "x"
    probe "redy" { tcp = { port = 1 } }
    probe "ready" {}
    probe "ready" {
      tcp = { port = 1 }
      http = { port = 1 }
    }
    probe "live" {
      http = { prot = 1, path = "healthz" }
      successes = 2
      failures = 0
      interval = "x"
      timeout = 5
    }
    probe "startup" {
      grpc = { port = 0, service = ["x"] }
      initial_delay = "-1s"
    }
    probe "startup" { exec = [] }
    probe "live" { tcp = 8080 }
  }
  app "b" {
    image = "x"
    probe "startup" { exec = ["", "x"] }
    probe "ready" { http = { port = 80, path = "/%zz" } }
    probe "live" {
      http     = { port = 80, path = "/\u001b[1m" }
      interval = "50ms"
      failures = 1001
    }
  }
  app "c" {
    image = "x"
    probe "ready" { grcp = { port = 1 } }
    probe "live" { http = { path = "/" } }
  }
  app "d" {
    image = "x"
    probe "ready" {
      image = true
      exec  = ["x"]
    }
    probe "live" {
      image        = false
      start_period = "2h"
    }
    probe "startup" {
      tcp            = { port = 1 }
      start_interval = "1s"
    }
  }
  app "e" {
    image = "x"
    probe "ready" { image = "yes" }
    probe "live" {
      image          = true
      start_interval = "1ms"
    }
  }
}
