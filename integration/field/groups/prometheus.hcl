# Monitoring of one site: Prometheus scrapes itself, a node exporter beside it and the site's router. Its alerts go to
# an Alertmanager beside it, and from there to the pager. What is elsewhere is reached through HAProxy alone.

variable "router" { default = "198.51.100.91" } # an exporter answers there on port 9100
variable "pager" { default = "198.51.100.92" }  # takes webhooks on port 8080

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "prometheus" {
  resources { memory = "768MiB" }

  app "prometheus" {
    image     = "${local.images}/prometheus.tar"
    user      = local.user
    read_only = true
    command = [
      "/usr/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/data",
      "--storage.tsdb.retention.time=15d", "--web.listen-address=127.0.0.1:9090",
    ]
    file "/etc/prometheus/prometheus.yml" {
      reload  = "SIGHUP"
      content = <<-EOT
        global: {scrape_interval: 2s, evaluation_interval: 2s}
        rule_files: [/etc/prometheus/rules.yml]
        alerting:
          alertmanagers:
            - static_configs: [{targets: ["127.0.0.1:9093"]}]
        scrape_configs:
          - job_name: prometheus
            static_configs: [{targets: ["127.0.0.1:9090"]}]
          - job_name: node
            static_configs: [{targets: ["127.0.0.1:9100"]}]
          - job_name: router
            static_configs: [{targets: ["${upstream.router}"]}]
      EOT
    }
    file "/etc/prometheus/rules.yml" {
      reload  = "SIGHUP"
      content = <<-EOT
        groups:
          - name: site
            rules:
              - {alert: Down, expr: up == 0, annotations: {summary: "{{ $labels.job }} does not answer"}}
      EOT
    }
    mount "data" { path = "/data" }
    probe "ready" { http = { port = 9090, path = "/-/ready" } }
    resources { memory = "512MiB" }
  }

  sidecar "node" {
    image        = "${local.images}/node-exporter.tar"
    user         = local.user
    capabilities = []
    read_only    = true
    # The group's own network and no folder of the host: what it sees of the host is its load and its memory.
    command = [
      "/usr/bin/prometheus-node-exporter", "--web.listen-address=127.0.0.1:9100", "--collector.disable-defaults",
      "--collector.loadavg", "--collector.meminfo", "--collector.stat", "--collector.uname",
    ]
    probe "ready" { http = { port = 9100, path = "/metrics" } }
    resources { memory = "64MiB" }
  }

  sidecar "alertmanager" {
    image     = "${local.images}/alertmanager.tar"
    user      = local.user
    read_only = true
    command = [
      "/usr/bin/prometheus-alertmanager", "--config.file=/etc/alertmanager.yml", "--storage.path=/data", "--cluster.listen-address=",
      "--web.listen-address=127.0.0.1:9093",
    ]
    tmpfs "/data" {}
    file "/etc/alertmanager.yml" {
      content = <<-EOT
        route: {receiver: pager, group_wait: 1s}
        receivers:
          - name: pager
            webhook_configs: [{url: "http://${upstream.pager}/alert"}]
      EOT
    }
    probe "ready" { http = { port = 9093, path = "/-/ready" } }
    resources { memory = "128MiB" }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    env     = { ROUTER = var.router, PAGER = var.pager }
    upstream "router" { listen = 9101 }
    upstream "pager" { listen = 9102 }
    publish "web" {
      host = 9090
      port = 9080
    }
    allow = ["${var.router}:9100/tcp", "${var.pager}:8080/tcp"]
    file "/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        defaults
            mode http
            timeout connect 2s
            timeout client 1m
            timeout server 1m

        listen web
            bind :9080
            server prometheus 127.0.0.1:9090

        listen router
            bind ${upstream.router}
            server router "$${ROUTER}:9100"

        listen pager
            bind ${upstream.pager}
            server pager "$${PAGER}:8080"
      EOT
    }
    probe "ready" { tcp = { port = "router" } }
    resources { memory = "64MiB" }
    stop { signal = "SIGUSR1" }
  }

  volume "data" {
    persistent = true
    size       = "1GiB"
    owner      = local.user
  }
}
