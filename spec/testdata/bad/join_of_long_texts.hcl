locals {
  line = join("", [for i in range(1000) : "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"])
  m    = join("", [for i in range(5) : local.line])
  x    = join(local.m, [for i in range(22) : ""])
}
group "g" {
  egress = "none"
  app "a" { image = "x" }
}
