group "g" {
  egress = "none"
  app "a" {
    image    = "x"
    shm_size = "64MB"
  }
  app "b" {
    image    = "x"
    shm_size = 67108864
  }
  app "c" {
    image    = "x"
    shm_size = "1KiB"
  }
  app "d" {
    image    = "x"
    shm_size = "256MiB"
    resources { memory = "128MiB" }
  }
  app "e" {
    image    = "x"
    shm_size = "32MiB"
    mount "memory" { path = "/dev/shm" }
  }
  app "f" {
    image = "x"
    mount "memory" { path = "/dev/shm/x" }
    tmpfs "/dev/shm" { size = "1MiB" }
    file "/dev/shm/y" { content = "" }
  }
  app "h" {
    image = "x"
    mount "memory" { path = "/dev/shm" }
    mount "other" { path = "/dev/shm/" }
    shm "x" {}
  }
  volume "memory" {}
  volume "other" {}
}
