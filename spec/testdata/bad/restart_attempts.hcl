group "g" {
  egress = "none"
  app "a" {
    image = "x"
    restart {
      policy   = "never"
      attempts = 3
      delay    = "1s"
    }
  }
  app "b" {
    image = "x"
    restart {
      attempts  = 0
      window    = "10ms"
      delay     = "2m"
      max_delay = "1m"
    }
  }
  app "c" {
    image = "x"
    restart {
      max_attempts = 3
      condition    = "any"
      attempt      = 3
    }
  }
}
