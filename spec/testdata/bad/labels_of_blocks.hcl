locals "x" {}
variable {}
group "g" {
  egress = "none"
  app { image = "x" }
  app "a" "b" { image = "x" }
  volume {}
}
group {
  egress = "none"
  app "a" { image = "x" }
}
