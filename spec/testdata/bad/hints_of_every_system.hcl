group "g" {
  template "t" { data = "x" }
  profiles = ["debug"]
  replicas = 2
  count    = 2
  app "a" {
    image = "x"
    init  = "yes"
    ulimits = { nofile = 1024 }
    read_only = "/etc"
    cpuset = 0
    security_opt = ["no-new-privileges:true"]
    configs = ["web"]
    env_file = "web.env"
    secrets = ["token"]
    shm_size = "64m"
    group_add = ["audio"]
    pull_policy = "always"
    image_pull_secrets = ["registry"]
    auth { username = "me" }
    logging { driver = "syslog" }
    timezone = "CET+1"
    dns_search = ["example.com"]
    template { data = "x" }
    profiles = ["debug"]
    poststart = ["/bin/x"]
    replicas = 2
    count = 2
    schedule = "@daily"
    build = "."
    task "t" {}
    artifact { source = "https://example.com/x" }
    timeout = "5s"
    headers = { Host = "example.com" }
    probe "ready" {
      http    = { port = 80 }
      headers = { Host = "example.com" }
      header  = "Host: example.com"
    }
    file "/etc/nginx.conf" { content = "log_format main '$${request_id} ${request_time}';" }
  }
  ambassador "p" {
    image   = "x"
    cap_add = ["NET_ADMIN"]
    init    = true
    upstream "u" { local_bind_port = 9001 }
  }
  volume "v" {
    type = "tmpfs"
  }
  schedule {
    schedule = "@daily"
  }
  build {}
  task "t" {}
  artifact {}
}
