# A mail relay for the machines of a site: Postfix takes mail in, rspamd looks at it, and it leaves to the provider's
# smart host alone. Postfix is the door, since a mail server's work is to exchange packets with others.

variable "smarthost" { default = "198.51.100.26" }

group "mail-relay" {
  secret "relay" { file = "/etc/keys/relay" } # "[198.51.100.26]:587 user:password"

  app "rspamd" {
    image = "docker.io/rspamd/rspamd:3.11"
    file "/etc/rspamd/local.d/worker-proxy.inc" {
      content = <<-EOT
        bind_socket = "127.0.0.1:11332";
        milter = yes;
        timeout = 120s;
        upstream "local" {
          default = yes;
          self_scan = yes;
        }
      EOT
    }
    mount "rspamd" { path = "/var/lib/rspamd" }
    resources { memory = "512MiB" }
    probe "ready" { tcp = { port = 11332 } }
  }

  ambassador "postfix" {
    image        = "docker.io/boky/postfix:4.4"
    capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID", "SYS_CHROOT"]
    env = {
      RELAYHOST                       = "[${var.smarthost}]:587"
      ALLOWED_SENDER_DOMAINS          = "example.com"
      POSTFIX_smtpd_milters           = "inet:127.0.0.1:11332"
      POSTFIX_mynetworks              = "192.0.2.0/24"
      POSTFIX_smtp_sasl_password_maps = "texthash:/run/secrets/relay"
    }
    secret "relay" {} # Postfix reads it as root
    publish "smtp" {
      host    = 25
      port    = 587
      address = "192.0.2.1"
    }
    allow = ["${var.smarthost}:587/tcp"]
    mount "queue" { path = "/var/spool/postfix" }
    probe "ready" {
      tcp           = { port = "smtp" }
      initial_delay = "2s"
    }
    resources { memory = "256MiB" }
    stop { pre_stop = ["/usr/sbin/postfix", "flush"] }
  }

  volume "queue" { persistent = true }
  volume "rspamd" {
    persistent = true
    size       = "1GiB"
    owner      = "11333:11333"
  }
}
