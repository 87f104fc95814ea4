group "g" {
  egress = "none"
  init "first" {
    image = "x"
    file "/a" {
      content = "x"
      reload  = "SIGHUP"
    }
  }
  app "a" {
    image = "x"
    mount "data" { path = "/data" }
    stop { signal = "SIGUSR2" }
    file "/a" {
      content = "x"
      reload  = "SIGHUPP"
    }
    file "/b" {
      content = "x"
      reload  = "KILL"
    }
    file "/c" {
      content = "x"
      reload  = "sigstop"
    }
    file "/d" {
      content = "x"
      reload  = "usr2"
    }
    file "/data/e" {
      content = "x"
      reload  = "HUP"
    }
    file "/f" {
      content = "x"
      reload  = 1
    }
    file "/g" {
      content = "x"
      reload  = "TERM"
    }
    file "/h" {
      content       = "x"
      change_signal = "SIGHUP"
    }
    file "/i" {
      content = "x"
      reload  = ""
    }
    reload = "SIGHUP"
  }
  app "b" {
    image = "x"
    file "/a" {
      content = "x"
      reload  = "SIGTERM"
    }
  }
  volume "data" {}
}
