group "g" {
  egress = "none"
  app "a" {
    image = "x"
    environment = { A = "b" }
    entrypoint = ["x"]
    ports = ["80:80"]
    volumes = ["data:/data"]
    depends_on = ["b"]
    healthcheck {}
    mem_limit = "1g"
    cap_drop = ["ALL"]
    hostname = "h"
  }
}
