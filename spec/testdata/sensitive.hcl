# vars: token=s3cret level=5
variable "token" {
  type      = string
  sensitive = true
}
variable "salt" {
  default   = "pepper"
  sensitive = true
}
variable "level" { type = number }
variable "unused" { default = 1 }
variable "names" { default = ["a<b", "c"] }

locals {
  auth = "Bearer ${var.token}"
  both = upper("${local.auth}/${var.level}")
}

group "hides" {
  egress = "none"

  app "web" {
    image = "registry.example/web:${var.level}"
    env = {
      TOKEN   = var.token
      "LOUD"  = local.both
      (group.name) = "plain"
      LEVEL   = var.level
    }
    args = ["--salt", base64encode(var.salt)]
    file "/etc//token" { content = jsonencode({ token = local.auth }) }
    file "/etc/plain" { content = join(",", var.names) }
  }
  app "whole" {
    image   = "registry.example/web"
    env     = merge({ PLAIN = "x" }, { TOKEN = var.token })
    command = var.token == "" ? ["a"] : ["b"]
  }
}

group "plain" {
  egress = "none"
  app "web" { image = "registry.example/web" }
}
