# A sandbox for code that nobody vouches for: an AI agent's shell, a build of a stranger's branch. It may fetch from two
# hosts and do nothing else. It needs no proxy settings and can't go around the proxy: what it calls by name is in its
# /etc/hosts and leads to the proxy, TCP to any other address is led there too, and all the rest the kernel refuses. There
# is no DNS for it, through which it could tell anybody anything.
#
# Afterwards look at `sallyport denials sandbox`: who tried, what and how often; and at `sallyport logs sandbox.proxy`: what
# went through the door, and what the door turned away.

# Where packages.example.com and mirror.example.com are. The defaults are addresses for documentation; what is allowed
# below is these and no other, so give yours: --var world=ADDRESS --var resolver=ADDRESS.
variable "world" {
  type    = string
  default = "198.51.100.10"
}

# Whom the proxy asks for names. Without the network block it would be the host's own resolvers.
variable "resolver" {
  type    = string
  default = "198.51.100.53"
}

group "sandbox" {
  network {
    dns { servers = [var.resolver] }
  }

  app "agent" {
    image        = "oci-archive:../../build/images/busybox.tar"
    command      = ["/bin/sh", "/agent.sh"]
    user         = "65534:65534"
    capabilities = []
    env = {
      MIRROR    = var.world
      ELSEWHERE = "203.0.113.66" # what an attacker would own
    }
    file "/agent.sh" { source = "agent.sh" }
    resources {
      cpu    = 0.5
      memory = "64MiB"
      pids   = 32
    }
    stop { timeout = "2s" }
  }

  ambassador "proxy" {
    image = "oci-archive:../../build/images/haproxy.tar"
    env   = { MIRROR = var.world }
    upstream "packages" {
      listen = 443
      hosts  = ["packages.example.com"]
    }
    upstream "mirror" {
      listen = 8080
      hosts  = ["mirror.example.com"]
    }
    intercept { port = 15001 }
    # The second lock, in the kernel: a name that suddenly has another address is of no use to anybody.
    allow = [
      "${var.world}/32:443/tcp", "${var.world}/32:8080/tcp",
      "${var.resolver}/32:53/udp", "${var.resolver}/32:53/tcp",
    ]
    # Enough to fetch what a build needs, too little to carry a data set away.
    rate {
      out = "2Mbit"
      in  = "100Mbit"
    }
    quota = "2GiB"
    file "/etc/haproxy/haproxy.cfg" { source = "haproxy.cfg" }
    resources {
      cpu    = 0.5
      memory = "64MiB"
      pids   = 16
    }
    stop { timeout = "5s" }
  }
}
