group "shop" {
  ambassador "proxy" {
    image  = "registry.example/proxy:1"
    comand = ["/proxy"]
    env    = { A = "b" C = "d" }
  }
  app "web" {
    image = registry.example/web:1"
    resources { memory = "64MB" }
    workdir = 
  }
  app "api" {
    image = "registry.example/api:1"
    user  = 
    imag  = "x"
  }
}
