group "g" {
  egress = "none"
  app "a" {
    image    = "x"
    pre_stop = ["/bin/true"]
    stop { pre_stop = [] }
  }
  app "b" {
    image = "x"
    stop { pre_stop = "/bin/true" }
  }
  app "c" {
    image = "x"
    stop {
      pre_stop = ["", "x"]
      exec     = ["x"]
    }
  }
}
