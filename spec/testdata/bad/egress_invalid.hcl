group "g" {
  egress = "drect"
  app "a" { image = "x" }
}
group "h" {
  egress = "ambasador"
  app "a" { image = "x" }
  ambassador "p" { image = "x" }
}
