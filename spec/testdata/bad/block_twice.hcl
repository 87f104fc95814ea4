group "g" {
  egress = "none"
  app "a" {
    image = "x"
    resources { cpu = 1 }
    resources { pids = 5 }
    stop {}
    stop {}
  }
}
