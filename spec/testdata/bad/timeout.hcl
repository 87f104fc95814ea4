group "service" {
  egress  = "none"
  timeout = "30s"
  app "job" {
    image = "x"
    restart { policy = "never" }
  }
  app "web" { image = "x" }
  app "api" { image = "x" }
}

group "zero" {
  egress  = "none"
  timeout = "0s"
  app "job" {
    image = "x"
    restart { policy = "never" }
  }
}

group "negative" {
  egress  = "none"
  timeout = "-30s"
  app "job" {
    image = "x"
    restart { policy = "never" }
  }
}

group "long" {
  egress  = "none"
  timeout = "8761h"
  app "job" {
    image = "x"
    restart { policy = "on-failure" }
  }
}

group "number" {
  egress  = "none"
  timeout = 30
  app "job" {
    image = "x"
    restart { policy = "never" }
  }
}

group "container" {
  egress = "none"
  app "job" {
    image   = "x"
    timeout = "30s"
    restart { policy = "never" }
  }
}

group "kubernetes" {
  egress = "none"
  active_deadline_seconds = 30
  app "job" {
    image           = "x"
    runtime_max_sec = 30
    restart { policy = "never" }
  }
}
