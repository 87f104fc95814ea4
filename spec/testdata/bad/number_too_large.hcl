locals {
  x = format("%d", "1e600000000")
}
group "g" {
  egress = "none"
  app "a" { image = "x" }
}
