group "g" {
  egress = "none"
  app "a" {
    image = "x"
    init  = "yes"
  }
  app "b" {
    image = "x"
    init "migrate" { image = "x" }
  }
  app "c" {
    image = "x"
    init {}
  }
  app "few" {
    image = "x"
    init  = true
    resources { pids = 15 }
  }
  app "d" {
    image = "x"
    tini  = true
  }
  init = true
}
