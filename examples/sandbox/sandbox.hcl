# A sandbox for code that you don't trust: an AI agent's shell, a build of a stranger's branch. It may
# fetch from two hosts and do nothing else.
#
# The code needs no proxy settings and can't go around the proxy. The two names are in its /etc/hosts and
# lead to the proxy. TCP to any other address is led there too. The kernel refuses everything else. There
# is no DNS, through which it could send data out.
#
# Afterwards look at `sallyport denials sandbox`: who tried what, and how often. `sallyport logs
# sandbox.proxy` has what passed the door, and what the door turned away.

# The address of packages.example.com and mirror.example.com. The defaults are for documentation. Only
# these addresses are allowed below, so give yours: --var world=ADDRESS --var resolver=ADDRESS.
variable "world" {
  type    = string
  default = "198.51.100.10"
}

# The name server that the proxy asks. Without the network block it would ask the host's own.
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
      ELSEWHERE = "203.0.113.66" # stands for an attacker's server
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
    # The second lock, in the kernel. A name that suddenly has another address does not help an attacker.
    allow = [
      "${var.world}/32:443/tcp", "${var.world}/32:8080/tcp",
      "${var.resolver}/32:53/udp", "${var.resolver}/32:53/tcp",
    ]
    # Enough to fetch packages for a build, too little to carry a data set away.
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
