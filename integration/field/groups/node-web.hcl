# A web application in Node with its sessions in Redis, and nginx in front. Redis starts first and keeps nothing: after a
# boot everybody logs in again.

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "node-web" {
  sidecar "redis" {
    image     = "${local.images}/redis.tar"
    user      = local.user
    read_only = true
    command   = ["/usr/bin/redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp", "--maxmemory", "32mb"]
    tmpfs "/tmp" {}
    probe "ready" {
      exec    = ["/usr/bin/redis-cli", "ping"]
      timeout = "5s"
    }
    resources { memory = "128MiB" }
  }

  app "web" {
    image        = "${local.images}/node.tar"
    user         = local.user
    capabilities = []
    read_only    = true
    init         = true
    command      = ["/usr/bin/node", "/srv/app.js"]
    env = {
      NODE_ENV  = "production"
      REDIS_URL = "redis://127.0.0.1:6379"
      PORT      = "3000"
    }
    file "/srv/app.js" {
      content = <<-EOT
        const http = require("node:http"), net = require("node:net");
        const redis = new URL(process.env.REDIS_URL);
        http.createServer((request, response) => {
          if (request.url === "/healthz") return response.end("ok\n");
          const call = net.connect(redis.port, redis.hostname, () => call.write("INCR visits\r\n"));
          call.once("data", reply => { response.end("visit " + String(reply).slice(1)); call.end(); });
          call.on("error", problem => { response.statusCode = 502; response.end(problem.message + "\n"); });
        }).listen(process.env.PORT, "127.0.0.1");
      EOT
    }
    probe "ready" { http = { port = 3000, path = "/healthz" } }
    resources {
      cpu    = 1
      memory = "256MiB"
    }
  }

  ambassador "nginx" {
    image   = "${local.images}/nginx.tar"
    user    = local.user
    command = ["/usr/sbin/nginx", "-g", "daemon off;", "-c", "/etc/nginx/site.conf"]
    tmpfs "/var/lib/nginx" { owner = local.user }
    tmpfs "/var/log/nginx" { owner = local.user }
    allow = [] # it answers, and calls nowhere
    publish "http" {
      host = 3080
      port = 8080
    }
    file "/etc/nginx/site.conf" {
      content = <<-EOT
        pid /tmp/nginx.pid;
        error_log stderr;
        events {}
        http {
          access_log /dev/stdout;
          server {
            listen 8080;
            listen [::]:8080;
            location / {
              proxy_pass http://127.0.0.1:3000;
            }
          }
        }
      EOT
    }
    probe "ready" { tcp = { port = "http" } }
    resources { memory = "64MiB" }
    stop { signal = "SIGQUIT" }
  }
}
