variable "sites" {
  type    = map(number)
  default = { south = 8444, north = 8443 }
}

variable "name" { default = "named" }

locals {
  shippers = ["b", "a"]
}

group "edge" {
  for_each = var.sites
  labels   = { site = each.key }

  ambassador "proxy" {
    image = "registry.example/proxy:1"
    publish "https" {
      for_each = { tls = each.value, plain = each.value + 100 }
      host     = each.value
      port     = 443
    }
    upstream "db" {
      for_each = { a = 9001, b = 9002 }
      listen   = each.value
    }
    upstream "cache" { listen = 9003 }
  }

  sidecar "log" {
    for_each = local.shippers
    image    = "registry.example/log:1"
    env = {
      DB    = upstream["db-${each.key}"]
      ALL   = join(",", [for name, address in upstream : name])
      SITE  = group.name
      OTHER = "${each.key}-${each.value}"
    }
    args = ["--name", each.key]
    mount "data" {
      for_each  = { data = each.key }
      path      = "/data/${each.value}"
      read_only = true
    }
    file "/etc/log.d" {
      for_each = { "${each.key}.conf" = "x", "all.conf" = "y" }
      content  = each.value
    }
  }

  init "" {
    for_each = toset(["migrate"])
    image    = "registry.example/${each.key}:1"
  }

  app "web" {
    image = "registry.example/web:${each.key}"
    env   = { EACH = join(",", [for each in local.shippers : each]) }
    mount "data" { path = "/data" }
  }

  app "none" {
    for_each = {}
    image    = each.value
  }

  volume "data" { size = "1MiB" }
  volume "data" {
    for_each = { data = "2MiB" }
    size     = each.value
  }
}

group {
  name   = var.name
  egress = "none"
  app "web" { image = "registry.example/web:${group.name}" }
}

group {
  for_each = ["y", "x"]
  name     = "site-${each.key}"
  egress   = "none"
  app "web" {
    image = "registry.example/web:1"
    tmpfs "/run" { size = "1MiB" }
  }
}
