# vars: token=s3cret number=s3cret
variable "token" {
  type      = string
  sensitive = true
}
variable "number" {
  type      = number
  sensitive = true
}
variable "odd" {
  default   = "x"
  sensitive = "perhaps"
}

locals {
  auth   = "Bearer ${var.token}"
  broken = regex(var.token, "x")
}

group "g" {
  labels = { token = local.auth }
  ambassador "proxy" {
    image = "registry.example/proxy:${var.token}"
    allow = [var.token]
    upstream "db" { listen = strlen(var.token) }
  }
  app "web" {
    image = "registry.example/web"
    env = {
      (var.token) = "x"
      OTHER = local.broken
    }
    probe "ready" { http = { port = 80, path = "/${var.token}" } }
    file "/etc/x" { source = var.token }
  }
  app "keys" {
    image = "registry.example/web"
    env   = { for k in [var.token] : "${k} ${k}" => "x" }
  }
}
