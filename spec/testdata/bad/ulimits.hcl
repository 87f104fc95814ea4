group "g" {
  egress = "none"
  app "a" {
    image = "x"
    ulimits {
      nofile  = "unlimited"
      nproc   = -1
      core    = 1024
      memlock = "64MB"
      stack   = "1KiB"
      fsize   = -1
    }
  }
  app "b" {
    image = "x"
    ulimits {
      nofile  = { soft = 65536, hard = 1024 }
      nproc   = { soft = 10 }
      core    = { soft = "unlimited", hard = "1GiB" }
      memlock = { soft = "1MiB", most = "2MiB" }
      stack   = { soft = [], hard = "1MiB" }
    }
  }
  app "c" {
    image   = "x"
    ulimits = { nofile = 1024 }
  }
  app "d" {
    image = "x"
    ulimits {
      nofile {
        soft = 1
        hard = 2
      }
      rtprio     = 99
      as         = "1GiB"
      sigpending = 1000
      files      = 10
    }
    ulimits { nproc = 5 }
    nofile = 7
  }
  resources { nproc = 10 }
}
