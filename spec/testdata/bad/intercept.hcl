group "g" {
  dns = "ambassador"
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    upstream "u" { listen = 9001 }
    intercept { port = 9001 }
    intercept { port = 1 }
  }
}
group "names" {
  dns = "ambassador"
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    intercept { port = 53 }
  }
}
group "published" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    publish "http" {
      host = 80
      port = 8080
    }
    intercept { port = 8080 }
  }
}
group "list" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    intercept { ports = [80] }
  }
}
group "attribute" {
  app "a" { image = "x" }
  ambassador "p" {
    image     = "x"
    intercept = 15001
  }
}
group "zero" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    intercept { port = 0 }
  }
}
