variable "tls" { default = true }

group "db" {
  egress = "none"
  secret "password" { file = "/etc/keys/db" }
  secret "token" { credential = "db.token" }
  secret "tls.key" {
    command = ["/usr/bin/pass", "show", "tls"]
    timeout = "5s"
  }

  app "postgres" {
    image = "postgres:16"
    user  = "postgres"
    env   = { POSTGRES_PASSWORD_FILE = "/run/secrets/password" }
    secret "password" {}
    secret "token" {
      owner  = "postgres:adm"
      mode   = "0440"
      reload = "HUP"
    }
    file "/etc/app.conf" {
      content = <<-EOT
        user = app
        password = ${secret.password}
        %{ if var.tls }key = ${secret["tls.key"]}%{ endif }
      EOT
      reload = "HUP"
    }
    file "/etc/tls.key" {
      content = secret["tls.key"]
      owner   = "1000:1000"
      mode    = "0440"
    }
  }
  sidecar "exporter" {
    image = "exporter:1"
    secret "password" { on_change = "none" }
    secret "token" { on_change = "restart" }
  }
  sidecar "many" {
    for_each = ["a", "b"]
    image    = "exporter:1"
    file "/etc/many.conf" { content = "${each.key} ${secret.password}" }
  }
}
