group "g" {
  egress = "none"
  update {
    health_timeout = "10s"
    auto_revert    = true
    healthy_deadline = "5m"
  }
  sidecar "s" {
    image = "x"
    probe "startup" {
      tcp           = { port = 1 }
      initial_delay = "1m"
    }
  }
  app "a" {
    image = "x"
    probe "live" {
      tcp           = { port = 1 }
      initial_delay = "1m"
    }
    probe "ready" {
      tcp       = { port = 1 }
      interval  = "5s"
      successes = 3
    }
  }
}

group "h" {
  egress = "none"
  update {
    health_timeout = "100ms"
    auto_revert    = "perhaps"
  }
  update {}
  app "a" { image = "x" }
}

group "i" {
  egress = "none"
  update {
    health_timeout = 120
  }
  auto_revert = true
  app "a" { image = "x" }
}

group "j" {
  egress = "none"
  update { max_ends = 3 }
  app "a" { image = "x" }
}

group "k" {
  egress = "none"
  update {
    health_timeout = "1m"
    max_ends       = 0
  }
  app "a" { image = "x" }
}
