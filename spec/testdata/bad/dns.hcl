group "list" {
  dns = ["192.0.2.53"]
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "address" {
  dns = "192.0.2.53"
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "slip" {
  dns = "ambasador"
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "sealed" {
  egress = "none"
  dns    = "ambassador"
  app "a" { image = "x" }
}
group "open" {
  egress = "direct"
  dns    = "ambassador"
  app "a" { image = "x" }
}
group "misplaced" {
  dns { servers = ["192.0.2.53"] }
  app "a" {
    image = "x"
    dns   = ["192.0.2.53"]
  }
  ambassador "p" {
    image = "x"
    dns { servers = ["192.0.2.53"] }
  }
}
