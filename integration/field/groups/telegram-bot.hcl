# A bot in Python that calls one API and nothing else. The API's name is in its /etc/hosts and leads to HAProxy, which
# looks at the name in TLS and passes it on undecrypted. Its token never leaves by another way.

variable "token" { default = "/etc/keys/bot" } # a file with the token
variable "resolver" { default = "198.51.100.53" }
variable "ca" { default = "/etc/ssl/certs/ca-certificates.crt" }

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "telegram-bot" {
  secret "token" { file = var.token }
  network {
    dns { servers = [var.resolver] }
  }

  app "bot" {
    image        = "${local.images}/python.tar"
    user         = local.user
    capabilities = []
    read_only    = true
    init         = true
    command      = ["/usr/bin/python3.11", "/srv/bot.py"]
    env = {
      PYTHONUNBUFFERED = "1"
      SSL_CERT_FILE    = "/etc/ssl/ca.crt"
    }
    file "/etc/ssl/ca.crt" { source = var.ca }
    secret "token" {}
    file "/srv/bot.py" {
      content = <<-EOT
        import json, time, urllib.request
        token = open("/run/secrets/token").read().strip()

        def call(method, **args):
            request = urllib.request.Request(f"https://api.telegram.example/bot{token}/{method}", json.dumps(args).encode(), {"Content-Type": "application/json"})
            return json.load(urllib.request.urlopen(request, timeout=30))["result"]

        seen = 0
        while True:
            try:
                for update in call("getUpdates", offset=seen + 1):
                    seen = update["update_id"]
                    text = update["message"]["text"]
                    print("asked", text)
                    call("sendMessage", chat_id=update["message"]["chat"]["id"], text=text.upper())
            except OSError as problem:
                print("problem", problem)
            time.sleep(1)
      EOT
    }
    resources {
      cpu    = 0.5
      memory = "96MiB"
      pids   = 32
    }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    upstream "api" {
      listen = 443
      hosts  = ["api.telegram.example"]
    }
    file "/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        resolvers world
            parse-resolv-conf

        defaults
            mode tcp
            timeout connect 5s
            timeout client 1m
            timeout server 1m

        frontend api
            bind ${upstream.api}
            tcp-request inspect-delay 2s
            tcp-request content reject unless { req.ssl_sni -i api.telegram.example }
            default_backend api

        backend api
            server api api.telegram.example:443 resolvers world init-addr none resolve-prefer ipv4
      EOT
    }
    probe "ready" { tcp = { port = "api" } }
    resources { memory = "64MiB" }
  }
}
