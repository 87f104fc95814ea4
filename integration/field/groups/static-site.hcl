# A static site. A sidecar makes its pages anew, as a static site generator does, and nginx shows them. nginx can't write
# to them, and the generator can't be reached.

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "static-site" {
  app "generator" {
    image   = "${local.images}/busybox.tar"
    user    = local.user
    command = ["/bin/sh", "-c", "n=0; while :; do n=$((n+1)); echo \"page $n\" > /site/index.new; mv /site/index.new /site/index.html; sleep 1; done"]
    mount "site" { path = "/site" }
    probe "ready" { exec = ["/bin/test", "-s", "/site/index.html"] }
    resources { memory = "16MiB" }
    stop { signal = "SIGKILL" }
  }

  ambassador "nginx" {
    image     = "${local.images}/nginx.tar"
    user      = local.user
    read_only = true
    command   = ["/usr/sbin/nginx", "-g", "daemon off;", "-c", "/etc/nginx/site.conf"]
    tmpfs "/tmp" {}
    tmpfs "/var/lib/nginx" { owner = local.user }
    tmpfs "/var/log/nginx" { owner = local.user }
    mount "site" {
      path      = "/site"
      read_only = true
    }
    allow = [] # it answers, and calls nowhere
    publish "http" {
      host = 8081
      port = 8081
    }
    file "/etc/nginx/site.conf" {
      content = <<-EOT
        pid /tmp/nginx.pid;
        error_log stderr;
        events {}
        http {
          include /etc/nginx/mime.types;
          access_log /dev/stdout;
          server {
            listen 8081;
            listen [::]:8081;
            root /site;
          }
        }
      EOT
    }
    probe "ready" { tcp = { port = "http" } }
    resources { memory = "64MiB" }
    stop { signal = "SIGQUIT" }
  }

  volume "site" {
    size  = "64MiB"
    owner = local.user
    mode  = "0755"
  }
}
