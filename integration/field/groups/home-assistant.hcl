# Home Assistant with a broker for its sensors. It is reached from the living room's network, and calls the weather
# service and nothing else. What finds devices by broadcast does not work behind a door: name their addresses instead.

variable "weather" { default = "api.weather.example" }

group "home-assistant" {
  sidecar "mosquitto" {
    image = "docker.io/library/eclipse-mosquitto:2.0"
    file "/mosquitto/config/mosquitto.conf" {
      content = <<-EOT
        listener 1883 127.0.0.1
        allow_anonymous true
        persistence true
        persistence_location /mosquitto/data/
      EOT
    }
    mount "mosquitto" { path = "/mosquitto/data" }
    probe "ready" { tcp = { port = 1883 } }
    resources { memory = "64MiB" }
  }

  app "home-assistant" {
    image    = "ghcr.io/home-assistant/home-assistant:2025.1"
    timezone = "Europe/Berlin"
    mount "config" { path = "/config" }
    probe "startup" {
      tcp      = { port = 8123 }
      interval = "5s"
      failures = 60
    }
    probe "live" {
      http     = { port = 8123, path = "/manifest.json" }
      interval = "1m"
      timeout  = "10s"
    }
    resources { memory = "1GiB" }
    stop { timeout = "1m" }
  }

  ambassador "haproxy" {
    image = "docker.io/library/haproxy:3.0"
    publish "web" {
      host = 8123
      port = 8124
    }
    publish "mqtt" {
      host    = 1883
      port    = 1884
      address = "192.0.2.1"
    }
    upstream "weather" {
      listen = 443
      hosts  = [var.weather]
    }
    file "/usr/local/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        resolvers world
            parse-resolv-conf

        defaults
            mode tcp
            timeout connect 5s
            timeout client 1h
            timeout server 1h

        listen web
            bind :8124
            server home 127.0.0.1:8123

        listen mqtt
            bind :1884
            server broker 127.0.0.1:1883

        listen weather
            bind ${upstream.weather}
            server weather ${var.weather}:443 resolvers world init-addr none
      EOT
    }
    probe "ready" { tcp = { port = "web" } }
    resources { memory = "64MiB" }
  }

  volume "mosquitto" {
    persistent = true
    size       = "64MiB"
    owner      = "1883:1883"
  }
  volume "config" {
    persistent = true
    size       = "5GiB"
  }
}
