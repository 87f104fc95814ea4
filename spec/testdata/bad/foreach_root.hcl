group "call" {
  egress = "none"
  app "web" {
    for_each = ["a"]
    image    = timestamp(each.key)
  }
}

group "division" {
  egress = "none"
  app "web" {
    for_each = { a = 1 }
    image    = "registry.example/web:1"
    env      = { SHARE = each.value / 0, "${each.key}" = (each.value % 0) }
  }
}
