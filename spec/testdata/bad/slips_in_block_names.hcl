group "one" {
  ambasador "proxy" { image = "registry.example/proxy:1" }
  ap "web" { image = "registry.example/web:1" }
}
group "two" {
  egres = "none"
  app "web" {
    image = "registry.example/web:1"
    resources { memory = "64mb" }
  }
}
group "three" {
  egress = "none"
  app "web" {
    image = "registry.example/web:1"
    resources { memory = "64X" }
  }
}
