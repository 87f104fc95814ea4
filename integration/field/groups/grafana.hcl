# Dashboards: Grafana with Loki and Prometheus beside it, whose sources are provisioned by files. People log in through
# the single sign-on, the one host that Grafana calls.

variable "login" { default = "login.example.com" }

group "grafana" {
  resources { memory = "2GiB" }
  secret "admin" { file = "/etc/keys/grafana" }

  sidecar "prometheus" {
    image = "docker.io/prom/prometheus:v3.1.0"
    args  = ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus", "--web.listen-address=127.0.0.1:9090", "--web.enable-remote-write-receiver"]
    file "/etc/prometheus/prometheus.yml" { content = jsonencode({ scrape_configs = [{ job_name = "self", static_configs = [{ targets = ["127.0.0.1:9090"] }] }] }) }
    mount "prometheus" { path = "/prometheus" }
    probe "ready" { http = { port = 9090, path = "/-/ready" } }
    resources { memory = "512MiB" }
  }

  sidecar "loki" {
    image = "docker.io/grafana/loki:3.3.2"
    args  = ["-config.file=/etc/loki/local-config.yaml", "-server.http-listen-address=127.0.0.1"]
    mount "loki" { path = "/loki" }
    probe "ready" {
      http     = { port = 3100, path = "/ready" }
      failures = 12
    }
    resources { memory = "512MiB" }
  }

  app "grafana" {
    image     = "docker.io/grafana/grafana-oss:11.4.0"
    read_only = true
    tmpfs "/tmp" {}
    env = {
      GF_SERVER_HTTP_ADDR              = "127.0.0.1"
      GF_SECURITY_ADMIN_PASSWORD__FILE = "/run/secrets/admin"
      GF_ANALYTICS_REPORTING_ENABLED   = "false"
      GF_ANALYTICS_CHECK_FOR_UPDATES   = "false"
      GF_AUTH_GENERIC_OAUTH_ENABLED    = "true"
      GF_AUTH_GENERIC_OAUTH_AUTH_URL   = "https://${var.login}/authorize"
      GF_AUTH_GENERIC_OAUTH_TOKEN_URL  = "https://${var.login}/token"
    }
    secret "admin" {}
    file "/etc/grafana/provisioning/datasources/local.yaml" {
      content = jsonencode({
        apiVersion = 1
        datasources = [
          { name = "Prometheus", type = "prometheus", url = "http://127.0.0.1:9090", isDefault = true },
          { name = "Loki", type = "loki", url = "http://127.0.0.1:3100" },
        ]
      })
    }
    mount "grafana" { path = "/var/lib/grafana" }
    probe "ready" { http = { port = 3000, path = "/api/health" } }
    resources { memory = "384MiB" }
  }

  ambassador "haproxy" {
    image = "docker.io/library/haproxy:3.0"
    publish "web" {
      host = 3000
      port = 3001
    }
    publish "push" {
      host = 3100
      port = 3101
    }
    upstream "login" {
      listen = 443
      hosts  = [var.login]
    }
    file "/usr/local/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        resolvers world
            parse-resolv-conf

        defaults
            mode http
            timeout connect 2s
            timeout client 1m
            timeout server 1m

        listen web
            bind :3001
            server grafana 127.0.0.1:3000

        listen push
            bind :3101
            http-request deny unless { path /loki/api/v1/push }
            server loki 127.0.0.1:3100

        listen login
            mode tcp
            bind ${upstream.login}
            server login ${var.login}:443 resolvers world init-addr none
      EOT
    }
    probe "ready" { tcp = { port = "web" } }
    resources { memory = "64MiB" }
  }

  volume "prometheus" {
    persistent = true
    size       = "20GiB"
    owner      = "65534:65534"
  }
  volume "loki" {
    persistent = true
    size       = "20GiB"
    owner      = "10001:10001"
  }
  volume "grafana" {
    persistent = true
    size       = "1GiB"
    owner      = "472:0"
  }
}
