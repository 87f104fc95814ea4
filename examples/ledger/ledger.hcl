# A group that looks after itself. Its init makes a ledger, on a volume that outlives the group. Its
# sidecar writes into the ledger, and its app shows it to the world, through the door.
#
# Let an update go wrong: `sallyport apply --var folder=/bin ledger.hcl`. There is no ledger in /bin, so
# the new generation is never ready. When its time is over, the generation before it is put back.
# `sallyport history ledger` has the reason.
#
# Then remove the group with `sallyport rm ledger` and apply the file again. The ledger is still there.
# `sallyport rm --volumes ledger` removes it too.

# The folder that the app shows.
variable "folder" {
  type    = string
  default = "/data"
}

# The host's port of the ledger's page.
variable "port" {
  type    = number
  default = 8089
}

locals {
  busybox = "oci-archive:../../build/images/busybox.tar"
  user    = "65532:65532"
}

group "ledger" {
  update {
    health_timeout = "15s"
    auto_revert    = true
  }

  # The limits of all containers together.
  resources {
    memory = "128MiB"
    pids   = 64
  }

  # Starts when the proxy is ready, and runs to its end before everything below.
  init "open" {
    image      = local.busybox
    command    = ["/bin/sh", "/open.sh"]
    user       = local.user
    on_failure = "stop-group" # without a ledger there is nothing to show
    file "/open.sh" { source = "open.sh" }
    mount "data" { path = "/data" }
  }

  sidecar "clerk" {
    image      = local.busybox
    command    = ["/bin/sh", "/clerk.sh"]
    user       = local.user
    on_failure = "ignore" # the ledger can be read without one
    file "/clerk.sh" { source = "clerk.sh" }
    mount "data" { path = "/data" }
    stop { timeout = "2s" }
    probe "ready" { exec = ["/bin/grep", "-q", "clerk", "/data/ledger.txt"] }
  }

  app "book" {
    image   = local.busybox
    command = ["/bin/httpd", "-f", "-p", "127.0.0.1:8080", "-h", var.folder]
    user    = local.user
    mount "data" {
      path      = "/data"
      read_only = true
    }
    stop { signal = "SIGKILL" } # it has nothing to finish
    probe "ready" { http = { port = 8080, path = "/ledger.txt" } }
    probe "live" {
      tcp      = { port = 8080 }
      interval = "5s"
    }
  }

  ambassador "proxy" {
    image = "oci-archive:../../build/images/haproxy.tar"
    publish "http" {
      host = var.port
      port = 8089
    }
    file "/etc/haproxy/haproxy.cfg" { source = "haproxy.cfg" }
    stop { timeout = "5s" }
    probe "ready" { tcp = { port = 8089 } }
  }

  volume "data" {
    persistent = true
    owner      = local.user
  }
}
