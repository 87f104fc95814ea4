group "servers" {
  network {
    dns { servers = ["2001:db8::53", "192.0.2.53"] }
  }
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    allow = []
  }
}

group "member" {
  app "a" {
    image = "x"
    allow = []
  }
  ambassador "p" { image = "x" }
}

group "text" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    allow = ""
  }
}
