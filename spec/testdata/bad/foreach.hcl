variable "token" {
  type      = string
  sensitive = true
  default   = "hunter2"
}

variable "missing" {}

group "number" {
  for_each = 3
  egress   = "none"
  app "web" { image = each.value }
}

group "null" {
  for_each = null
  egress   = "none"
  app "web" { image = "registry.example/web:1" }
}

group "mixed" {
  for_each = ["a", 1]
  egress   = "none"
  app "web" { image = "registry.example/web:1" }
}

group "twice" {
  for_each = ["a", "a"]
  egress   = "none"
  app "web" { image = "registry.example/web:1" }
}

group "secret" {
  for_each = [var.token]
  egress   = "none"
  app "web" { image = "registry.example/web:1" }
}

group "unknown" {
  for_each = var.missing
  egress   = "none"
  app "web" {
    image = each.value
    user  = "no user"
  }
}

group "many" {
  for_each = range(1001)
  egress   = "none"
  app "web" { image = "registry.example/web:1" }
}

group "ok" {
  for_each = { a = 80, b = 8080 }
  name     = "same"
  egress   = "none"
  app "web" {
    for_each = ["a b", "c"]
    image    = "registry.example/web:1"
    user     = "no user"
    nonsense = 1
  }
  app "log" {
    for_each = { "1" = 0, "2" = -1 }
    image    = "registry.example/web:1"
    workdir  = each.value.path
    mount "data" { path = "/data/${each.value}" }
    file "/etc/x" {
      for_each = { a = "relative", "../../passwd" = "b" }
      content  = each.valeu
    }
    probe "ready" {
      for_each = ["a"]
      tcp      = { port = 80 }
    }
  }
  sidecar {
    image = "registry.example/web:1"
  }
  sidecar "key" {
    image = "registry.example/web:1"
    env   = { KEY = each.other }
  }
  resources { for_each = ["a"] }
}

group "label" {
  name   = "name"
  egress = "none"
  app "web" { image = each.key }
}

group {
  name   = var.token
  egress = "none"
  app "web" { image = "registry.example/web:1" }
}

group {
  name   = "Not A Name"
  egress = "none"
  app "web" {
    image = "registry.example/web:1"
    name  = "web"
  }
}

group {
  name   = null
  egress = "none"
  app "web" { image = "registry.example/web:1" }
}

group {
  name   = var.missing
  egress = "none"
  dynamic "app" { for_each = ["a"] }
  app "web" {
    image = "registry.example/web:1"
    count = 2
  }
}

group "toomany" {
  for_each = { for i in range(1001) : "a${i}" => i }
  egress   = "none"
  app "web" { image = "registry.example/web:1" }
}

group "evenmore" {
  for_each = { for i in range(1001) : "a${i}" => i }
  egress   = "none"
  app "web" { image = "registry.example/web:1" }
}
