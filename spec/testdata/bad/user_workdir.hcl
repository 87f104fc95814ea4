group "g" {
  egress = "none"
  app "a0" {
    image = "x"
    user = ""
    workdir = "srv"
  }
  app "a1" {
    image = "x"
    user = "a b"
    workdir = ""
  }
  app "a2" {
    image = "x"
    user = "1000:"
    workdir = "./x"
  }
  app "a3" {
    image = "x"
    user = "4294967295"
    workdir = "~"
  }
  app "a4" {
    image = "x"
    user = ":5"
    workdir = "/ok"
  }
}
