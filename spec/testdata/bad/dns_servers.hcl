group "g" {
  network {
    dns { servers = ["127.0.0.53", "::1", "0.0.0.0"] }
  }
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "h" {
  network {
    dns { servers = ["169.254.169.254", "fe80::1", "224.0.0.251"] }
  }
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "i" {
  network {
    dns { servers = ["192.0.2.53:5353", "[2001:db8::53]:53", "2001:db8::53%eth0"] }
  }
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "names" {
  network {
    dns { servers = ["dns.example.com", "255.255.255.255", ""] }
  }
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "twice" {
  network {
    dns { servers = ["192.0.2.53", "::ffff:192.0.2.53"] }
  }
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "many" {
  network {
    dns { servers = [for i in range(5) : "192.0.2.${i}"] }
  }
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "none" {
  network {
    dns { servers = [] }
  }
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "missing" {
  network {
    dns {}
  }
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "text" {
  network {
    dns { servers = "192.0.2.53" }
  }
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
group "sealed" {
  egress = "none"
  network {
    dns { servers = ["192.0.2.53"] }
  }
  app "a" { image = "x" }
}
