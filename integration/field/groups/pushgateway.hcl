# A job that leaves its figures behind. Its sidecar, a Pushgateway, keeps them, and Prometheus comes for them by the door.

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "pushgateway" {
  sidecar "pushgateway" {
    image        = "${local.images}/pushgateway.tar"
    user         = local.user
    capabilities = []
    command      = ["/usr/bin/prometheus-pushgateway", "--web.listen-address=127.0.0.1:9091", "--persistence.file=/data/metrics"]
    mount "data" { path = "/data" }
    probe "ready" { http = { port = 9091, path = "/-/ready" } }
    resources { memory = "64MiB" }
  }

  app "job" {
    image   = "${local.images}/python.tar"
    user    = local.user
    init    = true
    command = ["/usr/bin/python3.11", "/srv/job.py"]
    file "/srv/job.py" {
      content = <<-EOT
        import time, urllib.request
        runs = 0
        while True:
            runs += 1
            urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:9091/metrics/job/report", f"report_runs {runs}\n".encode(), method="POST"))
            time.sleep(1)
      EOT
    }
    resources { memory = "64MiB" }
  }

  ambassador "nginx" {
    image   = "${local.images}/nginx.tar"
    user    = local.user
    command = ["/usr/sbin/nginx", "-g", "daemon off;", "-c", "/etc/nginx/site.conf"]
    tmpfs "/var/lib/nginx" { owner = local.user }
    tmpfs "/var/log/nginx" { owner = local.user }
    allow = [] # it answers, and calls nowhere
    publish "metrics" {
      host = 9091
      port = 9191
    }
    file "/etc/nginx/site.conf" {
      content = <<-EOT
        pid /tmp/nginx.pid;
        error_log stderr;
        events {}
        http {
          access_log /dev/stdout;
          server {
            listen 9191;
            location = /metrics {
              limit_except GET { deny all; }
              proxy_pass http://127.0.0.1:9091;
            }
          }
        }
      EOT
    }
    probe "ready" { tcp = { port = "metrics" } }
    resources { memory = "64MiB" }
    stop { signal = "SIGQUIT" }
  }

  volume "data" { owner = local.user }
}
