# An AI agent's sandbox: its programs take the proxy from the environment, and Squid lets them call two hosts. All else
# is refused, by Squid for those who ask it and by the kernel for those who don't.

variable "resolver" { default = "198.51.100.53" }

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "squid" {
  network {
    dns { servers = [var.resolver] }
  }

  app "agent" {
    image        = "${local.images}/busybox.tar"
    user         = local.user
    capabilities = []
    command      = ["/bin/sleep", "2147483647"] # sallyport exec squid.agent -- ...
    env = {
      http_proxy  = "http://${upstream.proxy}"
      https_proxy = "http://${upstream.proxy}"
      no_proxy    = "127.0.0.1,localhost"
    }
    mount "work" { path = "/work" }
    workdir = "/work"
    resources {
      cpu    = 1
      memory = "256MiB"
      pids   = 64
    }
    stop { signal = "SIGKILL" }
  }

  ambassador "squid" {
    image   = "${local.images}/squid.tar"
    user    = local.user
    command = ["/usr/sbin/squid", "-N", "-f", "/etc/squid/agent.conf"]
    upstream "proxy" { listen = 3128 }
    quota = "5GiB"
    file "/etc/squid/agent.conf" {
      content = <<-EOT
        http_port 127.0.0.1:3128
        pid_filename none
        cache deny all
        cache_log stdio:/dev/stderr
        access_log stdio:/dev/stdout
        shutdown_lifetime 1 seconds
        pinger_enable off
        acl listed dstdomain packages.example.com api.example.com
        acl tls port 443
        acl CONNECT method CONNECT
        http_access deny CONNECT !tls
        http_access allow listed
        http_access deny all
      EOT
    }
    probe "ready" { tcp = { port = "proxy" } }
    resources { memory = "128MiB" }
  }

  volume "work" {
    size  = "128MiB"
    owner = local.user
  }
}
