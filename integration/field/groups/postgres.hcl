# PostgreSQL with its exporter. The shop's other hosts reach it through HAProxy, and so does Prometheus.
# The first start makes the database. Later ones find it.

variable "password" { default = "/etc/keys/shop-db" } # a file with the password of the database's owner

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
  bin    = "/usr/lib/postgresql/15/bin"
}

group "postgres" {
  labels = { tier = "data" }
  resources { memory = "768MiB" }
  secret "password" { file = var.password }

  init "initdb" {
    image   = "${local.images}/postgres.tar"
    user    = local.user
    command = ["/bin/sh", "/initdb.sh"]
    file "/initdb.sh" {
      content = <<-EOT
        set -eu
        [ ! -s /data/pgdata/PG_VERSION ] || exit 0
        rm -rf /data/pgdata.new
        ${local.bin}/initdb -D /data/pgdata.new -U shop --pwfile=/run/secrets/password --auth=scram-sha-256 \
          --encoding=UTF8 --locale=C.UTF-8
        mv /data/pgdata.new /data/pgdata
      EOT
    }
    secret "password" {} # for the first start: later, ALTER ROLE changes it in the database
    mount "data" { path = "/data" }
  }

  app "postgres" {
    image     = "${local.images}/postgres.tar"
    user      = local.user
    read_only = true
    shm_size  = "128MiB"
    command = [
      "${local.bin}/postgres", "-D", "/data/pgdata", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=/tmp",
      "-c", "shared_buffers=64MB", "-c", "max_connections=50",
    ]
    tmpfs "/tmp" {}
    mount "data" { path = "/data" }
    ulimits { nofile = 8192 }
    resources {
      cpu    = 2
      memory = "512MiB"
      pids   = 128
    }
    probe "startup" { # replaying the log after a power cut may take its time
      exec     = ["${local.bin}/pg_isready", "-h", "127.0.0.1"]
      interval = "2s"
      timeout  = "5s"
      failures = 300
    }
    probe "ready" {
      exec    = ["${local.bin}/pg_isready", "-h", "127.0.0.1"]
      timeout = "5s"
    }
    stop {
      signal  = "SIGINT" # PostgreSQL's fast shutdown
      timeout = "1m"
    }
  }

  sidecar "exporter" {
    image        = "${local.images}/postgres-exporter.tar"
    user         = local.user
    capabilities = []
    read_only    = true
    on_failure   = "ignore" # the shop goes on without its figures
    command      = ["/usr/bin/prometheus-postgres-exporter", "--web.listen-address=127.0.0.1:9187"]
    env = {
      DATA_SOURCE_URI       = "127.0.0.1:5432/postgres?sslmode=disable"
      DATA_SOURCE_USER      = "shop"
      DATA_SOURCE_PASS_FILE = "/run/secrets/password"
    }
    secret "password" {}
    probe "ready" { tcp = { port = 9187 } }
    resources { memory = "64MiB" }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    allow = [] # it answers, and calls nowhere
    publish "postgres" {
      host = 5432
      port = 15432 # 5432 itself is the database's, on the same localhost
    }
    publish "metrics" {
      host    = 9187
      port    = 19187
      address = "192.0.2.1" # the inner network alone
    }
    file "/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        defaults
            timeout connect 2s
            timeout client 1h
            timeout server 1h

        listen postgres
            mode tcp
            bind :15432
            server postgres 127.0.0.1:5432

        listen metrics
            mode http
            bind :19187
            http-request deny unless { path /metrics }
            server exporter 127.0.0.1:9187
      EOT
    }
    probe "ready" { tcp = { port = "postgres" } }
    resources { memory = "64MiB" }
    stop { signal = "SIGUSR1" }
  }

  volume "data" {
    persistent = true
    size       = "2GiB"
    owner      = local.user
    mode       = "0700"
  }
}
