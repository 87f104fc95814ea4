# A program and its cache, sealed from the world: they compute, and others come for the result on the published port.
# Nothing of the group calls anyone.

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "memcached" {
  sidecar "memcached" {
    image        = "${local.images}/memcached.tar"
    user         = local.user
    capabilities = []
    read_only    = true
    command      = ["/usr/bin/memcached", "-l", "127.0.0.1", "-U", "0", "-m", "32"]
    probe "ready" { tcp = { port = 11211 } }
    resources {
      memory = "64MiB"
      pids   = 16
    }
  }

  app "web" {
    image        = "${local.images}/python.tar"
    user         = local.user
    capabilities = []
    read_only    = true
    init         = true
    command      = ["/usr/bin/python3.11", "/srv/web.py"]
    file "/srv/web.py" {
      content = <<-EOT
        import http.server, socket

        def ask(text):
            with socket.create_connection(("127.0.0.1", 11211)) as c:
                c.sendall(text)
                return c.recv(4096)

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                hit = ask(b"get answer\r\n").startswith(b"VALUE")
                if not hit:
                    ask(b"set answer 0 60 2\r\n42\r\n")
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"42 from the cache\n" if hit else b"42 computed\n")

        http.server.HTTPServer(("127.0.0.1", 8000), Page).serve_forever()
      EOT
    }
    probe "ready" { tcp = { port = 8000 } }
    resources { memory = "96MiB" }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    allow = [] # it answers, and calls nowhere
    publish "web" {
      host = 8082
      port = 8082
    }
    file "/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        defaults
            mode http
            timeout connect 1s
            timeout client 30s
            timeout server 30s

        listen web
            bind :8082
            server web 127.0.0.1:8000
      EOT
    }
    probe "ready" { tcp = { port = "web" } }
    resources { memory = "64MiB" }
  }
}
