# Everything that is acted on, once.
variable "registry" { default = "registry.example" }
variable "replica" {
  type        = number
  default     = 3
  description = "which of the replicas this is"
}
variable "debug" {
  type    = bool
  default = false
}
variable "hosts" {
  type    = list(string)
  default = ["203.0.113.0/24", "[2001:db8::]/32"]
}
variable "limits" {
  type    = object({ cpu = number, memory = optional(string, "32MiB") })
  default = { cpu = 1.5 }
}

locals {
  image = "${var.registry}/app:${local.tag}"
  tag   = format("1.%d", var.replica)

  domain = "example.com"
}

locals {
  allow = concat([for h in var.hosts : "${h}:443/tcp"], ["198.51.100.53:*/udp", "[2001:db8::53]:53/udp", "198.51.100.53:*/udp"])
  base  = { LEVEL = var.debug ? "debug" : "info", REPLICA = var.replica }
}

group "everything" {
  egress = "ambassador"
  dns    = "ambassador"
  labels = { team = "edge", "example.com/tier" = upper("gold") }
  network {
    sysctls = { "net.core.somaxconn" = 4096, "net.ipv4.ip_local_port_range" = " 20000 60999 " }
    dns { servers = ["192.0.2.53", "2001:DB8::53", "::ffff:198.51.100.53"] }
  }

  app "web" {
    image        = local.image
    command      = ["/bin/app", "--name", group.name]
    args         = split(" ", "a b")
    env          = merge(local.base, { URL = "http://${upstream.api}/", "DOTTED.NAME" = try(jsondecode("nope"), "fallback") })
    workdir      = "/srv//app/"
    user         = 1000
    groups       = ["www-data", 2000, "2000"]
    timezone     = "Europe/Berlin"
    env_file     = ["conf/web.env", "conf/more.env"]
    capabilities = ["cap_chown", "NET_BIND_SERVICE", "CHOWN"]
    mount "cache" {
      path      = "/var/cache"
      read_only = false
    }
    mount "logs" { path = "/log" }
    file "/etc/app.conf" {
      content = <<-EOT
        replica = ${var.replica}
        %{ for h in var.hosts }host = ${h}
        %{ endfor }
      EOT
      mode    = "0600"
    }
    file "/etc/app.d/api" {
      content = upstream["api"]
      reload  = "hup"
    }
    resources {
      cpu    = var.limits.cpu
      memory = var.limits.memory
      cpuset = "6, 0,1,2-3"
    }
    ulimits {
      nofile  = { soft = 1024, hard = 2 * 32768 }
      core    = "unlimited"
      memlock = { soft = "64MiB", hard = "unlimited" }
      nproc   = 100
    }
    restart { policy = "on-failure" }
    stop {
      signal  = "quit"
      timeout = "1m30s"
    }
    output {
      size    = "1.5MiB"
      split   = true
      journal = true
    }
  }
  app "second" {
    image        = "busybox"
    capabilities = []
    restart { policy = "never" }
  }
  sidecar "shipper" {
    image = "oci-archive:images/shipper.tar"
    user  = "www-data:adm"
    mount "logs" {
      path      = "/logs"
      read_only = true
    }
    stop { signal = "SIGRTMIN+3" }
    output_of { path = "/var//log/group/" }
    output { size = "20MiB" }
  }
  ambassador "proxy" {
    image = "docker-archive:/srv/images/proxy.tar"
    upstream "db" {
      listen = 5432
      hosts  = ["Postgres.Internal", "db.${local.domain}"]
    }
    upstream "api" { listen = 9000 + 1 }
    publish "web6" {
      address  = "2001:DB8::1"
      host     = 443
      port     = 8443
      protocol = "tcp"
    }
    publish "quic" {
      host     = 443
      port     = 8443
      protocol = "udp"
    }
    publish "web" {
      address = "::ffff:192.0.2.1"
      host    = 443
      port    = 8443
    }
    allow = local.allow
    intercept { port = 15001 }
    rate {
      out = "512kbit"
      in  = "1.5Mbit"
    }
    quota = "5GiB"
    sysctls = {
      "kernel.msgmax"             = 9000
      "net.ipv4.ping_group_range" = " 0 2147483647 "
    }
    unsafe { capabilities = ["net_raw", "CAP_NET_ADMIN", "NET_RAW"] }
    file "/etc/proxy.cfg" {
      source = "conf/proxy.cfg"
      mode   = "444"
    }
  }
  volume "logs" { size = "1.5MiB" }
  volume "cache" {}
}

group "sealed" {
  egress = "none"
  app "only" { image = "registry.example/only@sha256:${join("", [for i in range(64) : "a"])}" }
}

group "life" {
  update {
    auto_revert    = true
    health_timeout = "90s"
    max_ends       = 5
  }
  resources {
    cpu       = 2
    memory    = "1GiB"
    swap      = "0B"
    pids      = 300
    io_weight = 50
  }
  init "fetch" {
    image      = local.image
    on_failure = "stop-group"
    probe "live" { exec = ["/bin/alive", "--for", group.name] }
    mount "data" { path = "/data" }
  }
  init "migrate" {
    image      = local.image
    on_failure = "ignore"
    restart { policy = "never" }
  }
  sidecar "shipper" {
    image      = "shipper"
    after      = ["metrics", "cache", "metrics"]
    on_failure = "ignore"
  }
  sidecar "metrics" {
    image = "metrics"
    pull  = "always"
    after = ["cache"]
    probe "ready" { grpc = { port = 9000 + 1, service = "metrics.v1" } }
  }
  sidecar "cache" {
    image = "cache"
    after = []
    resources {
      memory    = "64MiB"
      swap      = "1.5MiB"
      io_weight = 200
      disk      = "1GiB"
    }
  }
  app "web" {
    image      = local.image
    on_failure = "restart"
    mount "data" { path = "/data" }
    mount "conf" {
      path      = "/etc/app"
      read_only = true
    }
    mount "spool" {
      path       = "/spool"
      from_image = true
    }
    probe "ready" {
      http      = { path = "/healthz?deep=1", port = 8080 }
      successes = 2
      interval  = "500ms"
    }
    probe "live" {
      tcp           = { port = 8080 }
      initial_delay = "5s"
      interval      = "1m"
      timeout       = "2s"
      failures      = 5
    }
    probe "startup" {
      http     = { port = 8080 }
      failures = 100
    }
  }
  ambassador "proxy" {
    image = "proxy"
    probe "ready" { tcp = { port = 9001 } }
  }
  volume "data" {
    persistent = true
    owner      = "065532:0"
    mode       = "2770"
  }
  volume "conf" { host_path = "/srv//life/./conf/" }
  volume "spool" {
    persistent = false
    size       = "8MiB"
    owner      = "1000:1000"
    mode       = "700"
  }
  volume "shared" { persistent = true }
  volume "bounded" {
    persistent = true
    size       = "5GiB"
  }
}

group "open" {
  egress = "direct"
  app "only" { image = local.image }
}

group "fixed" {
  egress = "none"
  app "web" {
    image     = local.image
    user      = "1000:1000"
    read_only = true
    tmpfs "/tmp" {}
    tmpfs "/run/web/" {
      size  = "1MiB"
      owner = "01000:1000"
      mode  = "0700"
    }
    tmpfs "/srv/plugins" {
      mode = "1777"
      exec = true
    }
    init     = true
    shm_size = "0.25GiB"
    sysctls  = { "kernel.shmmax" = 268435456, "kernel.sem" = "250  32000 100 128" }
    mount "data" { path = "/run/web/data" }
    file "/etc/hosts" { content = "127.0.0.1 localhost\n" }
    resources { memory = "512MiB" }
  }
  sidecar "worker" {
    image = local.image
    mount "memory" { path = "/dev//shm/" }
  }
  app "other" {
    image = local.image
    mount "memory" { path = "/dev/shm" }
  }
  volume "data" {}
  volume "memory" { size = "128MiB" }
}
