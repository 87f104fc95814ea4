# A report on each working day: an SQL query against the shop's database, and a mail with what it found. Both servers are
# reached through the door, which is gone between the runs.

variable "database" { default = "198.51.100.31" } # port 5432
variable "mail" { default = "198.51.100.25" }     # port 25

group "cron-report" {
  timeout = "20m"
  secret "pgpass" { file = "/etc/keys/report.pgpass" } # a line of .pgpass
  schedule {
    cron     = "0 7 * * mon-fri"
    timezone = "Europe/Berlin"
    missed   = "run"
  }

  init "query" {
    image   = "docker.io/library/postgres:17-alpine"
    user    = "70:70"
    command = ["/bin/sh", "-c", "psql -h 127.0.0.1 -U report -d shop --csv -c 'select * from turnover_of_yesterday' > /report/turnover.csv"]
    env     = { PGPASSFILE = "/run/secrets/pgpass" }
    secret "pgpass" {} # psql takes none that others could read
    mount "report" { path = "/report" }
    restart {
      policy   = "on-failure"
      attempts = 3
    }
    resources { memory = "64MiB" }
  }

  app "mail" {
    image     = "docker.io/library/alpine:3.21"
    user      = "65534:65534"
    read_only = true
    command   = ["/bin/sh", "-c", "sendmail -S 127.0.0.1:2525 -f report@example.com sales@example.com < /report/turnover.csv"]
    mount "report" {
      path      = "/report"
      read_only = true
    }
    restart { policy = "on-failure" }
    resources { memory = "32MiB" }
  }

  ambassador "haproxy" {
    image = "docker.io/library/haproxy:3.0-alpine"
    upstream "database" { listen = 5432 }
    upstream "mail" { listen = 2525 }
    allow = ["${var.database}:5432/tcp", "${var.mail}:25/tcp"]
    file "/usr/local/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        defaults
            mode tcp
            timeout connect 5s
            timeout client 10m
            timeout server 10m

        listen database
            bind ${upstream.database}
            server database ${var.database}:5432

        listen mail
            bind ${upstream.mail}
            server mail ${var.mail}:25
      EOT
    }
    probe "ready" { tcp = { port = "database" } }
    resources { memory = "64MiB" }
  }

  volume "report" { size = "16MiB" }
}
