# What a program prints, shipped as syslog. The shipper is given the group's output read-only and sends it through the
# door, which knows one collector.

variable "collector" { default = "198.51.100.84" } # takes syslog over TCP on port 6514

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "rsyslog" {
  app "shop" {
    image   = "${local.images}/busybox.tar"
    user    = local.user
    command = ["/bin/sh", "-c", "n=0; while sleep 1; do n=$((n+1)); echo \"order $n\"; [ $((n%3)) != 0 ] || echo \"stock is low\" >&2; done"]
    output {
      size  = "5MiB"
      split = true
    }
    resources { memory = "16MiB" }
    stop { signal = "SIGKILL" }
  }

  sidecar "rsyslog" {
    image   = "${local.images}/rsyslog.tar"
    user    = local.user
    command = ["/usr/sbin/rsyslogd", "-n", "-iNONE", "-f", "/etc/rsyslog.conf"]
    output_of { path = "/var/log/group" }
    mount "spool" { path = "/var/spool/rsyslog" }
    file "/etc/rsyslog.conf" {
      content = <<-EOT
        global(workDirectory="/var/spool/rsyslog")
        module(load="imfile")
        input(type="imfile" file="/var/log/group/shop.log" tag="shop:" severity="info" ruleset="ship")
        input(type="imfile" file="/var/log/group/shop.err.log" tag="shop:" severity="error" ruleset="ship")
        ruleset(name="ship") {
          action(type="omfwd" target="127.0.0.1" port="6514" protocol="tcp" action.resumeRetryCount="-1" action.resumeInterval="1"
                 queue.type="linkedList" queue.filename="ship" queue.maxDiskSpace="8m" queue.saveOnShutdown="on")
        }
      EOT
    }
    resources { memory = "64MiB" }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    upstream "collector" { listen = 6514 }
    allow = ["${var.collector}:6514/tcp"]
    file "/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        defaults
            mode tcp
            timeout connect 2s
            timeout client 1h
            timeout server 1h

        listen collector
            bind ${upstream.collector}
            server collector ${var.collector}:6514
      EOT
    }
    probe "ready" { tcp = { port = "collector" } }
    resources { memory = "64MiB" }
  }

  volume "spool" { # what the collector has not taken outlives the group
    persistent = true
    size       = "16MiB"
    owner      = local.user
  }
}
