group "g" {
  egress = "none"
  on_failure = "ignore"
  app "a" {
    image      = "x"
    on_failure = "stop_group"
  }
  app "b" {
    image      = "x"
    on_failure = "restart"
    restart { policy = "never" }
  }
  init "i" {
    image      = "x"
    on_failure = "ignore"
  }
  init "j" {
    image      = "x"
    on_failure = "ignore"
    restart { policy = "on-failure" }
  }
  app "c" {
    image = "x"
    on_failure "ignore" {}
  }
}
