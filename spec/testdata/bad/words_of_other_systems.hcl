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
    livenessProbe {
      periodSeconds = 5
    }
    mem_swappiness = 0
    memswap_limit = "1g"
    stopGracePeriod = "30s"
    lifecycle {
      hook = "prestart"
    }
    essential = false
    probe "ready" {
      httpGet = { port = 8080 }
      periodSeconds = 5
      failureThreshold = 3
      command = ["true"]
    }
    resources {
      limits = { memory = "64MiB" }
    }
  }
  initContainers "migrate" { image = "x" }
  update_config {}
}
