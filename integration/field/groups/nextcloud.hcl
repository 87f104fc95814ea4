# Nextcloud with PostgreSQL, Redis and its background jobs. It may fetch apps; federation is closed.

variable "domain" { default = "cloud.example.com" }
variable "tls" { default = "/srv/tls" } # site.crt and site.key

locals {
  nextcloud = "docker.io/library/nextcloud:30-fpm"
  env = {
    POSTGRES_HOST             = "127.0.0.1"
    POSTGRES_DB               = "nextcloud"
    POSTGRES_USER             = "nextcloud"
    POSTGRES_PASSWORD_FILE    = "/run/secrets/db"
    REDIS_HOST                = "127.0.0.1"
    NEXTCLOUD_TRUSTED_DOMAINS = var.domain
    PHP_UPLOAD_LIMIT          = "4G"
  }
}

group "nextcloud" {
  resources { memory = "3GiB" }
  secret "db" { command = ["/usr/bin/pass", "show", "nextcloud/db"] }
  secret "site.crt" { file = "${var.tls}/site.crt" } # no secret, but renewed together with its key
  secret "site.key" { file = "${var.tls}/site.key" }

  sidecar "db" {
    image    = "docker.io/library/postgres:17"
    shm_size = "256MiB"
    args     = ["-c", "listen_addresses=127.0.0.1"]
    env = {
      POSTGRES_DB            = "nextcloud"
      POSTGRES_USER          = "nextcloud"
      POSTGRES_PASSWORD_FILE = "/run/secrets/db"
    }
    secret "db" { on_change = "none" } # it is for the first start, which makes the database
    mount "db" { path = "/var/lib/postgresql/data" }
    probe "ready" {
      exec    = ["pg_isready", "-h", "127.0.0.1", "-U", "nextcloud"]
      timeout = "5s"
    }
    resources { memory = "768MiB" }
    stop { signal = "SIGINT" }
  }

  sidecar "redis" {
    image     = "docker.io/library/redis:7-alpine"
    args      = ["redis-server", "--bind", "127.0.0.1", "--save", ""]
    read_only = true
    tmpfs "/data" {}
    probe "ready" { tcp = { port = 6379 } }
    resources { memory = "128MiB" }
  }

  app "nextcloud" {
    image = local.nextcloud
    env   = local.env
    secret "db" { owner = "www-data" }
    mount "html" { path = "/var/www/html" }
    probe "startup" { # the first start unpacks and installs
      tcp      = { port = 9000 }
      interval = "5s"
      failures = 120
    }
    resources { memory = "1GiB" }
  }

  app "cron" {
    image   = local.nextcloud
    after   = ["nextcloud"]
    command = ["/cron.sh"]
    env     = local.env
    secret "db" { owner = "www-data" }
    mount "html" { path = "/var/www/html" }
    resources { memory = "512MiB" }
  }

  ambassador "nginx" {
    image = "docker.io/library/nginx:1.27"
    publish "https" {
      host = 443
      port = 443
    }
    upstream "apps" {
      listen = 8443
      hosts  = ["apps.nextcloud.com"]
    }
    mount "html" {
      path      = "/var/www/html"
      read_only = true
    }
    file "/etc/nginx/nginx.conf" {
      source = "nextcloud/nginx.conf"
      reload = "SIGHUP"
    }
    secret "site.crt" { reload = "SIGHUP" }
    secret "site.key" { reload = "SIGHUP" }
    probe "ready" {
      http = { port = "https", path = "/door", https = true, host = var.domain }
    }
    resources { memory = "128MiB" }
    stop { signal = "SIGQUIT" }
  }

  volume "db" {
    persistent = true
    size       = "10GiB"
    owner      = "999:999"
    mode       = "0700"
  }
  volume "html" {
    persistent = true
    size       = "200GiB"
    owner      = "33:33"
    mode       = "0755"
  }
}
