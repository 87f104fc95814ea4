# A backup at night. restic reads a folder of the host, which it can't write to, and sends it through the one door to the
# backup's server. Between its runs there is nothing of it on the host.

variable "folder" { default = "/srv/shop" }
variable "server" { default = "198.51.100.86" }      # restic's REST server, port 8000
variable "password" { default = "/etc/keys/backup" } # a file with the repository's password

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "restic" {
  timeout = "2h"
  secret "password" { file = var.password }
  schedule {
    cron     = "30 2 * * *"
    timezone = "Europe/Berlin"
    jitter   = "20m"
    missed   = "run"
  }

  init "repository" { # makes it at the first run
    image   = "${local.images}/restic.tar"
    command = ["/bin/sh", "-c", "restic cat config >/dev/null 2>&1 || restic init"]
    env     = { RESTIC_REPOSITORY = "rest:http://${upstream.server}/shop/", RESTIC_PASSWORD_FILE = "/run/secrets/password" }
    secret "password" {}
    tmpfs "/root/.cache" {}
  }

  app "backup" {
    image        = "${local.images}/restic.tar"
    command      = ["/usr/bin/restic", "backup", "--host", "shop", "--no-cache", "/data"]
    capabilities = ["DAC_OVERRIDE"] # reads files of all owners
    read_only    = true
    env          = { RESTIC_REPOSITORY = "rest:http://${upstream.server}/shop/", RESTIC_PASSWORD_FILE = "/run/secrets/password" }
    secret "password" {}
    tmpfs "/tmp" { size = "128MiB" }
    mount "data" {
      path      = "/data"
      read_only = true
    }
    restart {
      policy   = "on-failure"
      attempts = 3
      delay    = "1m"
    }
    resources {
      cpu       = 0.5
      memory    = "512MiB"
      io_weight = 10
    }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    upstream "server" { listen = 8000 }
    allow = ["${var.server}:8000/tcp"]
    rate { out = "20Mbit" }
    file "/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        defaults
            mode http
            timeout connect 5s
            timeout client 5m
            timeout server 5m

        listen server
            bind ${upstream.server}
            server backup ${var.server}:8000
      EOT
    }
    probe "ready" { tcp = { port = "server" } }
    resources { memory = "64MiB" }
  }

  volume "data" { host_path = var.folder }
}
