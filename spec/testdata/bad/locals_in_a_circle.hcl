locals {
  a    = local.b
  b    = "${local.c}"
  c    = local["a"]
  self = local.self
  d    = local.a
}
locals { d = 1 }
group "g" {
  egress = "none"
  app "a" { image = local.d }
}
