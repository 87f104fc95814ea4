# A program of one's own behind nginx, which has the certificate. The program listens on localhost and knows
# nothing of TLS. A renewed certificate is loaded without a restart and without a command: its files are looked at.

variable "tls" { default = "/srv/tls" } # site.crt and site.key

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "nginx-tls" {
  secret "site.crt" { file = "${var.tls}/site.crt" } # no secret, but renewed together with its key
  secret "site.key" { file = "${var.tls}/site.key" }

  update {
    health_timeout = "1m"
    auto_revert    = true
  }

  app "web" {
    image        = "${local.images}/python.tar"
    user         = local.user
    capabilities = []
    read_only    = true
    init         = true
    command      = ["/usr/bin/python3.11", "/srv/web.py"]
    env          = { PYTHONUNBUFFERED = "1" }
    file "/srv/web.py" {
      content = <<-EOT
        import http.server

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = f"hello {self.headers.get('X-Forwarded-For')} by {self.headers.get('X-Forwarded-Proto')}\n".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Page).serve_forever()
      EOT
    }
    probe "ready" { http = { port = 8000 } }
    resources {
      cpu    = 1
      memory = "128MiB"
    }
  }

  ambassador "nginx" {
    image   = "${local.images}/nginx.tar"
    user    = local.user
    command = ["/usr/sbin/nginx", "-g", "daemon off;", "-c", "/etc/nginx/site.conf"]
    tmpfs "/var/lib/nginx" { owner = local.user }
    tmpfs "/var/log/nginx" { owner = local.user }
    allow = [] # it answers, and calls nowhere
    publish "https" {
      host = 443
      port = 443
    }
    publish "http" {
      host = 80
      port = 80
    }
    file "/etc/nginx/site.conf" {
      reload  = "SIGHUP"
      content = <<-EOT
        pid /tmp/nginx.pid;
        error_log stderr;
        events {}
        http {
          access_log /dev/stdout;
          server {
            listen 80;
            listen [::]:80;
            return 301 https://$host$request_uri;
          }
          server {
            listen 443 ssl http2;
            listen [::]:443 ssl http2;
            ssl_certificate /run/secrets/site.crt;
            ssl_certificate_key /run/secrets/site.key;
            location = /door { return 204; } # nginx is ready before the program starts
            location / {
              proxy_pass http://127.0.0.1:8000;
              proxy_set_header X-Forwarded-For $remote_addr;
              proxy_set_header X-Forwarded-Proto $scheme;
            }
          }
        }
      EOT
    }
    secret "site.crt" { reload = "SIGHUP" }
    secret "site.key" { reload = "SIGHUP" }
    probe "ready" { http = { port = "https", path = "/door", https = true } }
    resources { memory = "64MiB" }
    stop { signal = "SIGQUIT" }
  }
}
