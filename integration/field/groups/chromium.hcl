# A scraper: a headless Chromium that looks at pages of one shop, through Squid. It is told where the proxy is, and the
# kernel refuses it every other way, its lookups and QUIC included.

variable "resolver" { default = "198.51.100.53" }

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "chromium" {
  network {
    dns { servers = [var.resolver] }
  }

  app "browser" {
    image    = "${local.images}/chromium.tar"
    user     = local.user
    init     = true # it leaves processes behind
    shm_size = "256MiB"
    command  = ["/bin/sleep", "2147483647"] # the scraper; sallyport exec starts a browser in it
    # Its own sandbox wants a user namespace, which no container gets: the container is its sandbox.
    env = {
      CHROMIUM = "/usr/lib/chromium/chromium --headless --no-sandbox --disable-gpu --disable-quic --user-data-dir=/profile/chromium --proxy-server=http://${upstream.proxy}"
      HOME     = "/profile"
    }
    tmpfs "/profile" {
      size  = "256MiB"
      owner = local.user
    }
    resources {
      cpu    = 2
      memory = "1GiB"
      pids   = 256
    }
    stop { signal = "SIGKILL" }
  }

  ambassador "squid" {
    image   = "${local.images}/squid.tar"
    user    = local.user
    command = ["/usr/sbin/squid", "-N", "-f", "/etc/squid/scraper.conf"]
    upstream "proxy" { listen = 3128 }
    rate { in = "50Mbit" }
    file "/etc/squid/scraper.conf" {
      content = <<-EOT
        http_port 127.0.0.1:3128
        pid_filename none
        cache deny all
        cache_log stdio:/dev/stderr
        access_log stdio:/dev/stdout
        shutdown_lifetime 1 seconds
        pinger_enable off
        acl shop dstdomain .shop.example
        http_access allow shop
        http_access deny all
      EOT
    }
    probe "ready" { tcp = { port = "proxy" } }
    resources { memory = "128MiB" }
  }
}
