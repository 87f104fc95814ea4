# Two backends behind one HAProxy, which asks them how they are and leaves a sick one out.

variable "backends" { default = 2 }

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "haproxy-balancer" {
  app "blue" {
    image   = "${local.images}/busybox.tar"
    user    = local.user
    command = ["/bin/httpd", "-f", "-p", "127.0.0.1:8001", "-h", "/www"]
    file "/www/index.html" { content = "blue\n" }
    probe "live" { http = { port = 8001 } }
    resources { memory = "16MiB" }
    stop { signal = "SIGKILL" } # it has nothing to finish
  }

  app "green" {
    image   = "${local.images}/busybox.tar"
    user    = local.user
    command = ["/bin/httpd", "-f", "-p", "127.0.0.1:8002", "-h", "/www"]
    file "/www/index.html" { content = "green\n" }
    probe "live" { http = { port = 8002 } }
    resources { memory = "16MiB" }
    stop { signal = "SIGKILL" }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    allow = [] # it answers, and calls nowhere
    publish "web" {
      host = 8080
      port = 8080
    }
    publish "stats" {
      host    = 8404
      port    = 8404
      address = "127.0.0.1"
    }
    file "/etc/haproxy/haproxy.cfg" {
      reload  = "SIGUSR2"
      content = <<-EOT
        global
            log stdout format raw local0

        defaults
            mode http
            log global
            timeout connect 1s
            timeout client 30s
            timeout server 30s

        frontend web
            bind :8080
            default_backend web

        backend web
            option httpchk GET /
            default-server check inter 500ms
        %{for n in range(1, var.backends + 1)~}
            server b${n} 127.0.0.1:${8000 + n}
        %{endfor~}

        frontend stats
            bind :8404
            stats enable
            stats uri /
            http-request use-service prometheus-exporter if { path /metrics }
      EOT
    }
    probe "ready" { tcp = { port = "web" } }
    resources { memory = "96MiB" }
    stop { signal = "SIGUSR1" }
  }
}
