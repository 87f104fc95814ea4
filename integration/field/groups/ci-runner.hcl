# A runner of the forge that builds what contributors send. A build gets an empty work folder, no capability, half an
# hour, and Squid as its only way out: to the forge and to two registries of packages.

variable "forge" { default = "git.example.com" }

group "ci-runner" {
  secret "token" { credential = "ci-runner.token" } # systemd-creds encrypt makes it
  resources {
    cpu    = 4
    memory = "6GiB"
    pids   = 2048
  }

  app "runner" {
    image        = "docker.io/gitea/act_runner:0.2.11"
    user         = "1000:1000"
    capabilities = []
    init         = true
    command      = ["/usr/local/bin/act_runner", "daemon", "--config", "/etc/runner/config.yaml"]
    env = {
      GITEA_INSTANCE_URL                   = "https://${var.forge}"
      GITEA_RUNNER_REGISTRATION_TOKEN_FILE = "/run/secrets/token"
      HTTPS_PROXY                          = "http://${upstream.proxy}"
      HTTP_PROXY                           = "http://${upstream.proxy}"
      NO_PROXY                             = "127.0.0.1,localhost"
    }
    workdir = "/work"
    secret "token" { on_change = "none" } # it is for the first start, which registers the runner
    file "/etc/runner/config.yaml" {
      content = jsonencode({ runner = { capacity = 2, timeout = "30m", labels = ["linux:host"] }, cache = { enabled = false } })
    }
    mount "work" { path = "/work" }
    tmpfs "/tmp" {
      size = "1GiB"
      exec = true # configure scripts run what they compile there
    }
    ulimits { nofile = { soft = 4096, hard = 65536 } }
    resources {
      memory = "5GiB"
      pids   = 1536
      disk   = "4GiB"
    }
    restart {
      attempts = 10
      window   = "5m"
    }
    stop { timeout = "5m" } # the build that runs may end
  }

  ambassador "squid" {
    image = "docker.io/ubuntu/squid:6.6-24.04_edge"
    upstream "proxy" { listen = 3128 }
    rate {
      in  = "200Mbit"
      out = "20Mbit"
    }
    file "/etc/squid/squid.conf" {
      reload  = "SIGHUP"
      content = <<-EOT
        http_port 127.0.0.1:3128
        acl listed dstdomain ${var.forge} registry.npmjs.org proxy.golang.org
        acl tls port 443
        acl CONNECT method CONNECT
        http_access deny CONNECT !tls
        http_access allow listed
        http_access deny all
        cache_mem 64 MB
      EOT
    }
    probe "ready" { tcp = { port = "proxy" } }
    resources { memory = "256MiB" }
  }

  volume "work" {
    persistent = true
    size       = "20GiB"
    owner      = "1000:1000"
  }
}
