# vars: tag=latest token=t0p low=5
variable "tag" {
  validation {
    condition     = can(regex("^[0-9.]+$", var.tag))
    error_message = <<EOT
      A tag has numbers
      such as 1.2.3, and ${var.tag} has none.\u001b[31m
    EOT
  }
}
variable "port" {
  default = 80
  validation {
    condition     = var.port > 1024
    error_message = "Ports up to 1024 are for root."
  }
}
variable "token" {
  sensitive = true
  validation {
    condition     = strlen(var.token) > 5
    error_message = "A token has more than 5 characters."
  }
  validation {
    condition     = strlen(var.token) > 5
    error_message = "Not ${var.token}."
  }
  validation {
    condition     = var.token
    error_message = "No."
  }
}
variable "low" {
  type = number
  validation {
    condition     = 1 > 2
    error_message = "No."
  }
  validation {
    condition     = var.low
    error_message = "No."
  }
  validation {
    condition     = var.low < local.high
    error_message = "No."
  }
  validation {
    error_message = "No."
  }
  validation { condition = var.low < 3 }
  validation {
    condition     = var.low > 3
    error_messag  = "No."
  }
  validation "x" {
    condition     = var.lwo > 3
    error_message = "No."
  }
}
locals { high = 3 }
group "g" {
  egress = "none"
  validation {
    condition     = true
    error_message = "No."
  }
  app "a" {
    image = "x:${var.tag}"
    env   = { PORT = var.port, TOKEN = var.token, LOW = var.low }
  }
}
