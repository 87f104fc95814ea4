# A cache for several hosts: Redis with a password, behind stunnel. Redis itself speaks plain text on localhost
# alone, and TLS is the door's. Clients are known by their certificate, so the door takes no others.

variable "password" { default = "/etc/keys/cache" } # a file with the password: letters and digits
variable "tls" { default = "/srv/tls" }             # cache.crt, cache.key and the CA of the clients, ca.crt

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "redis" {
  secret "password" { file = var.password }
  secret "cache.crt" { file = "${var.tls}/cache.crt" } # a pair is renewed together
  secret "cache.key" { file = "${var.tls}/cache.key" }

  app "redis" {
    image     = "${local.images}/redis.tar"
    user      = local.user
    read_only = true
    command   = ["/usr/bin/redis-server", "/etc/redis/redis.conf"]
    file "/etc/redis/redis.conf" {
      content = <<-EOT
        bind 127.0.0.1
        dir /data
        appendonly yes
        maxmemory 64mb
        maxmemory-policy allkeys-lru
        requirepass ${secret.password}
      EOT
    }
    mount "data" { path = "/data" }
    probe "ready" { tcp = { port = 6379 } }
    resources {
      memory = "128MiB"
      swap   = "0B"
      pids   = 32
    }
    stop { timeout = "30s" } # it writes what it has
  }

  sidecar "exporter" {
    image        = "${local.images}/redis-exporter.tar"
    user         = local.user
    capabilities = []
    read_only    = true
    on_failure   = "ignore"
    command      = ["/usr/bin/prometheus-redis-exporter", "-web.listen-address=127.0.0.1:9121", "-redis.password-file=/etc/redis-exporter.json"]
    file "/etc/redis-exporter.json" { content = "{\"redis://localhost:6379\": \"${secret.password}\"}\n" }
    resources { memory = "64MiB" }
  }

  ambassador "stunnel" {
    image   = "${local.images}/stunnel.tar"
    user    = local.user
    command = ["/usr/bin/stunnel4", "/etc/stunnel/stunnel.conf"]
    allow = [] # it answers, and calls nowhere
    publish "redis" {
      host = 6380
      port = 6380
    }
    publish "metrics" {
      host = 9121
      port = 9122
    }
    file "/etc/stunnel/stunnel.conf" {
      content = <<-EOT
        foreground = yes
        pid =
        cert = /run/secrets/cache.crt
        key = /run/secrets/cache.key
        CAfile = /etc/stunnel/ca.crt
        verifyChain = yes

        [redis]
        accept = :::6380
        connect = 127.0.0.1:6379

        [metrics]
        accept = :::9122
        connect = 127.0.0.1:9121
      EOT
    }
    secret "cache.crt" { reload = "SIGHUP" } # a renewed certificate restarts nothing
    secret "cache.key" { reload = "SIGHUP" }
    file "/etc/stunnel/ca.crt" { source = "${var.tls}/ca.crt" }
    probe "ready" { tcp = { port = "redis" } }
    resources { memory = "32MiB" }
  }

  volume "data" {
    persistent = true
    size       = "512MiB"
    owner      = local.user
  }
}
