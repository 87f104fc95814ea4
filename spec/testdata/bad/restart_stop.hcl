group "g" {
  egress = "none"
  app "a0" {
    image = "x"
    restart { policy = "alway" }
  }
  app "a1" {
    image = "x"
    restart { policy = "unless-stopped" }
  }
  app "a2" {
    image = "x"
    stop { signal = "SIGTREM" }
  }
  app "a3" {
    image = "x"
    stop { signal = "SIGSTOP" }
  }
  app "a4" {
    image = "x"
    stop { timeout = "10" }
  }
  app "a5" {
    image = "x"
    stop { timeout = "0s" }
  }
  app "a6" {
    image = "x"
    stop { timeout = "2h" }
  }
  app "a7" {
    image = "x"
    stop { timeout = 10 }
  }
  init "i" {
    image = "x"
    restart { policy = "always" }
  }
}
