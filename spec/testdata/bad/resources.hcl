group "g" {
  egress = "none"
  app "a0" {
    image = "x"
    resources { cpu = 0 }
  }
  app "a1" {
    image = "x"
    resources { cpu = -1 }
  }
  app "a2" {
    image = "x"
    resources { cpu = 0.001 }
  }
  app "a3" {
    image = "x"
    resources { memory = "5MiB" }
  }
  app "a4" {
    image = "x"
    resources { memory = "128MB" }
  }
  app "a5" {
    image = "x"
    resources { memory = "128" }
  }
  app "a6" {
    image = "x"
    resources { memory = "lots" }
  }
  app "a7" {
    image = "x"
    resources { memory = "0.3B" }
  }
  app "a8" {
    image = "x"
    resources { memory = "99999TiB" }
  }
  app "a9" {
    image = "x"
    resources { pids = 0 }
  }
  app "a10" {
    image = "x"
    resources { pids = -3 }
  }
  app "a11" {
    image = "x"
    resources { pids = 99999999 }
  }
  app "a12" {
    image = "x"
    resources { disk = "1GB" }
  }
  app "a13" {
    image = "x"
    resources { disk = "512KiB" }
  }
  app "a14" {
    image = "x"
    resources { disk = 0 }
  }
}
