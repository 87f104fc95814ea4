variable "tag" { default = "1" }
locals {
  base = "b"
  up   = upstream.api
}
group "g" {
  app "a" {
    image = "x:${var.tga}"
    env = {
      A = local.bsae
      B = upstream.ap
      C = vra.tag
      D = group.nam
      E = var
      F = "${local.nothing_like_it} ${local.nor_this}"
      G = upstream["apo"]
      H = image
    }
  }
  ambassador "p" {
    image = "x"
    upstream "api" { listen = 1 }
    upstream "b" { listen = upstream.api }
  }
}
