# A program that looks up names itself. dnsmasq answers it, for the names of one domain and no others: a lookup is
# a way out, too.

variable "resolver" { default = "198.51.100.53" }

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "dnsmasq" {
  dns = "ambassador"

  app "client" {
    image   = "${local.images}/busybox.tar"
    user    = local.user
    command = ["/bin/sleep", "2147483647"]
    resources { memory = "16MiB" }
    stop { signal = "SIGKILL" }
  }

  ambassador "dnsmasq" {
    image   = "${local.images}/dnsmasq.tar"
    user    = local.user
    command = ["/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/etc/dnsmasq.conf"]
    allow   = ["${var.resolver}:53/udp", "${var.resolver}:53/tcp"]
    file "/etc/dnsmasq.conf" {
      content = <<-EOT
        user=
        group=
        no-resolv
        no-hosts
        listen-address=127.0.0.1
        bind-interfaces
        cache-size=1000
        log-queries
        log-facility=-
        server=/example.com/${var.resolver}
        address=/#/
      EOT
    }
    probe "ready" { tcp = { port = 53 } }
    resources { memory = "32MiB" }
  }
}
