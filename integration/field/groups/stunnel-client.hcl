# An old program that speaks plain text, and a service that takes TLS alone. stunnel is the door: it checks the service's
# certificate and shows its own. The program calls localhost.

variable "service" { default = "198.51.100.85" } # port 6379, with TLS
variable "tls" { default = "/srv/tls" }          # ca.crt, client.crt and client.key

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "stunnel-client" {
  secret "client.crt" { file = "${var.tls}/client.crt" } # a pair is renewed together
  secret "client.key" { file = "${var.tls}/client.key" }

  app "legacy" {
    image   = "${local.images}/busybox.tar"
    user    = local.user
    command = ["/bin/sh", "-c", "while sleep 1; do echo ping | nc 127.0.0.1 6379 -w 5; done"]
    resources { memory = "16MiB" }
    stop { signal = "SIGKILL" }
  }

  ambassador "stunnel" {
    image   = "${local.images}/stunnel.tar"
    user    = local.user
    command = ["/usr/bin/stunnel4", "/etc/stunnel/stunnel.conf"]
    upstream "service" { listen = 6379 }
    allow = ["${var.service}:6379/tcp"]
    file "/etc/stunnel/stunnel.conf" {
      content = <<-EOT
        foreground = yes
        pid =
        client = yes

        [service]
        accept = ${upstream.service}
        connect = ${var.service}:6379
        CAfile = /etc/stunnel/ca.crt
        verifyChain = yes
        checkHost = service.example.com
        cert = /run/secrets/client.crt
        key = /run/secrets/client.key
      EOT
    }
    file "/etc/stunnel/ca.crt" { source = "${var.tls}/ca.crt" }
    secret "client.crt" { reload = "SIGHUP" }
    secret "client.key" { reload = "SIGHUP" }
    probe "ready" { tcp = { port = "service" } }
    resources { memory = "32MiB" }
  }
}
