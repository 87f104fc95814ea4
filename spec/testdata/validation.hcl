# vars: tag=1.2.3 token=t0ps3cret

variable "tag" {
  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.tag))
    error_message = "A tag has three numbers, such as 1.2.3."
  }
  validation {
    condition     = var.tag != "0.0.0"
    error_message = "The tag ${var.tag} is no release."
  }
}

variable "low" {
  default = 1
  validation {
    condition     = var.low <= var.high
    error_message = "low is at most ${var.high}."
  }
}
variable "high" { default = 2 }

variable "token" {
  sensitive = true
  validation {
    condition     = strlen(var.token) > 5
    error_message = "A token has more than 5 characters."
  }
}

group "checked" {
  egress = "none"
  app "web" {
    image = "registry.example/web:${var.tag}"
    env   = { TOKEN = var.token, LOW = var.low, HIGH = var.high }
  }
}
