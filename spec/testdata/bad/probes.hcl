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
}
