variable "tag" { type = string }
group "g" {
  egress = "none"
  app "a" { image = "x:${var.tag}" }
  app "b" { image = "y:${var.tag}" }
}
