group "g" {
  egress = "none"
  resources {
    cpu       = 1
    memory    = "64MiB"
    pids      = 100
    io_weight = 0
  }
  app "a" {
    image = "x"
    resources {
      cpu    = 2
      memory = "65MiB"
      pids   = 101
    }
  }
  app "b" {
    image = "x"
    resources {
      swap      = "64MiB"
      io_weight = 10001
    }
  }
  app "c" {
    image = "x"
    resources {
      memory = "64MiB"
      swap   = 0
    }
  }
  app "d" {
    image = "x"
    resources {
      memory    = "64MiB"
      swap      = "-1"
      io_weight = 1.5
    }
  }
}

group "h" {
  egress = "none"
  resources { swap = "0B" }
  memory = "1GiB"
  app "a" { image = "x" }
}

group "i" {
  egress = "none"
  resources { disk = "1GiB" }
  storage_opt = "1GiB"
  app "b" {
    image     = "x"
    read_only = true
    resources { disk = "1GiB" }
  }
  app "a" { image = "x" }
}
