# A forge for one's own repositories, with its database beside it. People come over HTTPS and SSH; its mails and its
# mirrors leave through HAProxy, to two hosts.

variable "domain" { default = "git.example.com" }
variable "mail" { default = "198.51.100.25" } # port 587

group "gitea" {
  secret "db" { file = "/etc/keys/gitea-db" }

  sidecar "db" {
    image = "docker.io/library/postgres:17"
    args  = ["-c", "listen_addresses=127.0.0.1"]
    env   = { POSTGRES_USER = "gitea", POSTGRES_DB = "gitea", POSTGRES_PASSWORD_FILE = "/run/secrets/db" }
    secret "db" { on_change = "none" } # it is for the first start, which makes the database
    mount "db" { path = "/var/lib/postgresql/data" }
    probe "ready" {
      exec    = ["pg_isready", "-h", "127.0.0.1", "-U", "gitea"]
      timeout = "5s"
    }
    resources { memory = "512MiB" }
    stop { signal = "SIGINT" }
  }

  app "gitea" {
    image = "docker.io/gitea/gitea:1.22-rootless"
    user  = "1000:1000"
    env = {
      GITEA__database__DB_TYPE      = "postgres"
      GITEA__database__HOST         = "127.0.0.1:5432"
      GITEA__database__NAME         = "gitea"
      GITEA__database__USER         = "gitea"
      GITEA__database__PASSWD__FILE = "/run/secrets/db"
      GITEA__server__HTTP_ADDR      = "127.0.0.1"
      GITEA__server__ROOT_URL       = "https://${var.domain}/"
      GITEA__server__SSH_PORT       = "2222"
      GITEA__mailer__ENABLED        = "true"
      GITEA__mailer__SMTP_ADDR      = "127.0.0.1"
      GITEA__mailer__SMTP_PORT      = "587"
    }
    secret "db" {}
    mount "data" { path = "/var/lib/gitea" }
    mount "conf" { path = "/etc/gitea" }
    probe "ready" { http = { port = 3000, path = "/api/healthz" } }
    resources { memory = "512MiB" }
  }

  ambassador "haproxy" {
    image = "docker.io/library/haproxy:3.0"
    user  = "99:99"
    publish "https" {
      host = 443
      port = 8443
    }
    publish "ssh" {
      host = 2222
      port = 12222
    }
    upstream "mail" { listen = 587 }
    upstream "mirror" {
      listen = 443
      hosts  = ["github.com"]
    }
    file "/usr/local/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        resolvers world
            parse-resolv-conf

        defaults
            mode tcp
            timeout connect 5s
            timeout client 10m
            timeout server 10m

        listen https
            bind :8443
            mode http
            server gitea 127.0.0.1:3000

        listen ssh
            bind :12222
            server gitea 127.0.0.1:2222

        listen mail
            bind ${upstream.mail}
            server mail ${var.mail}:587

        listen mirror
            bind ${upstream.mirror}
            server github github.com:443 resolvers world init-addr none
      EOT
    }
    probe "ready" { tcp = { port = "mail" } }
    resources { memory = "64MiB" }
  }

  volume "db" {
    persistent = true
    owner      = "999:999"
    mode       = "0700"
  }
  volume "data" {
    persistent = true
    size       = "50GiB"
    owner      = "1000:1000"
  }
  volume "conf" {
    persistent = true
    size       = "1MiB"
    owner      = "1000:1000"
  }
}
