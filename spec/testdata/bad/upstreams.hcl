group "g" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    upstream "a" {}
    upstream "b" { listen = 0 }
    upstream "c" { listen = 9000 }
    upstream "d" { listen = 9000 }
    upstream "E" { listen = 9001 }
    env = { A = upstream.a, B = upstream.b, C = upstream.c }
  }
}
