# Measurements of a plant: Telegraf polls the controllers through the door, writes into InfluxDB, and Chronograf shows
# them. The controllers are in a network of their own, to which no container but the door has a way.

variable "controllers" {
  type    = list(string)
  default = ["198.51.100.101", "198.51.100.102"] # Modbus, port 502
}

group "timeseries" {
  secret "token" { file = "/etc/keys/plant" }

  app "influxdb" {
    image = "docker.io/library/influxdb:2.7"
    env = {
      DOCKER_INFLUXDB_INIT_MODE             = "setup"
      DOCKER_INFLUXDB_INIT_USERNAME         = "admin"
      DOCKER_INFLUXDB_INIT_ORG              = "plant"
      DOCKER_INFLUXDB_INIT_BUCKET           = "plant"
      DOCKER_INFLUXDB_INIT_PASSWORD_FILE    = "/run/secrets/token"
      DOCKER_INFLUXDB_INIT_ADMIN_TOKEN_FILE = "/run/secrets/token"
      INFLUXD_HTTP_BIND_ADDRESS             = "127.0.0.1:8086"
    }
    secret "token" {
      owner     = "influxdb"
      on_change = "none" # it is for the first start, which sets the database up
    }
    mount "data" { path = "/var/lib/influxdb2" }
    probe "ready" { http = { port = 8086, path = "/health" } }
    ulimits { nofile = 65536 }
    resources { memory = "1GiB" }
  }

  app "telegraf" {
    image    = "docker.io/library/telegraf:1.33"
    after    = ["influxdb"]
    user     = "nobody"
    timezone = "Europe/Berlin"
    secret "token" {}
    file "/etc/telegraf/telegraf.conf" {
      reload  = "SIGHUP"
      content = <<-EOT
        [agent]
          interval = "10s"
        [[secretstores.docker]]
          id = "files"
        [[outputs.influxdb_v2]]
          urls = ["http://127.0.0.1:8086"]
          organization = "plant"
          bucket = "plant"
          token = "@{files:token}"
        %{for n, address in var.controllers~}
        [[inputs.modbus]]
          name = "controller-${n}"
          controller = "tcp://127.0.0.1:${1502 + n}"
        %{endfor~}
      EOT
    }
    resources { memory = "128MiB" }
  }

  ambassador "haproxy" {
    image = "docker.io/library/haproxy:3.0"
    allow = [for c in var.controllers : "${c}:502/tcp"]
    publish "influxdb" {
      host = 8086
      port = 8087
    }
    file "/usr/local/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        defaults
            mode tcp
            timeout connect 2s
            timeout client 1m
            timeout server 1m

        listen influxdb
            bind :8087
            server influxdb 127.0.0.1:8086
        %{for n, address in var.controllers~}

        listen controller-${n}
            bind 127.0.0.1:${1502 + n}
            server controller ${address}:502
        %{endfor~}
      EOT
    }
    probe "ready" { tcp = { port = "influxdb" } }
    resources { memory = "64MiB" }
  }

  volume "data" {
    persistent = true
    size       = "20GiB"
    owner      = "1000:1000"
  }
}
