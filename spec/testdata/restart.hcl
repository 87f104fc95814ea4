# How often, and how soon, a container is started again.
group "restarts" {
  egress = "none"
  init "fetch" {
    image      = "fetch"
    on_failure = "ignore"
    restart { attempts = 3 }
  }
  app "web" {
    image = "web"
    restart {
      attempts  = 5
      window    = "2m"
      delay     = "500ms"
      max_delay = "5m"
    }
  }
  app "slow" {
    image = "web"
    restart {
      policy = "on-failure"
      delay  = "10m"
    }
  }
}
