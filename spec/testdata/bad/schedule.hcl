group "fields" {
  egress = "none"
  schedule { cron = "0 */5 * * * *" }
  app "job" { image = "x" }
}

group "range" {
  egress = "none"
  schedule { cron = "0 25 * * *" }
  app "job" { image = "x" }
}

group "never" {
  egress = "none"
  schedule { cron = "0 0 30 2 *" }
  app "job" { image = "x" }
}

group "every" {
  egress = "none"
  schedule { cron = "@every 90s" }
  app "job" { image = "x" }
}

group "none" {
  egress = "none"
  schedule {}
  app "job" { image = "x" }
}

group "twice" {
  egress = "none"
  schedule { cron = "@daily" }
  schedule { cron = "@hourly" }
  app "job" { image = "x" }
}

group "zone" {
  egress = "none"
  schedule {
    cron     = "@daily"
    timezone = "Europe/Atlantis"
  }
  app "job" { image = "x" }
}

group "local" {
  egress = "none"
  schedule {
    cron     = "@daily"
    timezone = "Local"
  }
  app "job" { image = "x" }
}

group "jitter" {
  egress = "none"
  schedule {
    cron   = "*/5 * * * *"
    jitter = "5m"
  }
  app "job" { image = "x" }
}

group "missed" {
  egress = "none"
  schedule {
    cron   = "@daily"
    missed = "catch-up"
  }
  app "job" { image = "x" }
}

group "volume" {
  egress = "none"
  schedule { cron = "@daily" }
  volume "state" { persistent = true }
  app "job" {
    image = "x"
    mount "state" { path = "/state" }
  }
}

group "apps" {
  egress = "none"
  schedule { cron = "@daily" }
  app "job" { image = "x" }
  app "other" { image = "x" }
}

group "word" {
  egress = "none"
  periodic { cron = "@daily" }
  app "job" { image = "x" }
}

group "attribute" {
  egress = "none"
  schedule {
    cron      = "@daily"
    time_zone = "UTC"
  }
  app "job" { image = "x" }
}
