# A shop in PHP: nginx and PHP-FPM are members, and HAProxy is the door, with the certificate. PHP asks the warehouse how
# much there is. A plugin that a stranger has got into PHP or nginx can't call home.

variable "tls" { default = "/srv/tls" }            # site.pem: the certificate, and behind it its key
variable "key" { default = "/etc/keys/warehouse" } # a file with the key of the warehouse's API
variable "warehouse" { default = "198.51.100.93" } # port 8080

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "nginx-php" {
  secret "site.pem" { file = "${var.tls}/site.pem" }
  secret "warehouse" { file = var.key }

  app "php" {
    image     = "${local.images}/php.tar"
    user      = local.user
    read_only = true
    command   = ["/usr/sbin/php-fpm8.2", "--nodaemonize", "--force-stderr", "--no-php-ini", "--fpm-config", "/etc/php/fpm.conf"]
    env       = { WAREHOUSE = "http://${upstream.warehouse}" }
    secret "warehouse" { on_change = "none" } # it is read for each question
    file "/etc/php/fpm.conf" {
      reload  = "SIGUSR2"
      content = <<-EOT
        [global]
        error_log = /dev/stderr

        [shop]
        listen = /run/php/fpm.sock
        pm = static
        pm.max_children = 4
        clear_env = no
        catch_workers_output = yes
      EOT
    }
    file "/srv/shop/index.php" {
      content = <<-EOT
        <?php
        $key = trim(file_get_contents("/run/secrets/warehouse"));
        $with = stream_context_create(["http" => ["header" => "Authorization: Bearer $key", "timeout" => 5]]);
        $left = @file_get_contents(getenv("WAREHOUSE") . "/left?item=" . urlencode($_GET["item"] ?? "lamp"), false, $with);
        echo $left === false ? "ask us by telephone\n" : "left: $left\n";
      EOT
    }
    tmpfs "/tmp" {}
    mount "socket" { path = "/run/php" }
    probe "ready" { exec = ["/bin/test", "-S", "/run/php/fpm.sock"] }
    resources {
      memory = "128MiB"
      pids   = 32
    }
    stop { signal = "SIGQUIT" }
  }

  app "nginx" {
    image   = "${local.images}/nginx.tar"
    user    = local.user
    after   = ["php"]
    command = ["/usr/sbin/nginx", "-g", "daemon off;", "-c", "/etc/nginx/shop.conf"]
    tmpfs "/var/lib/nginx" { owner = local.user }
    tmpfs "/var/log/nginx" { owner = local.user }
    mount "socket" {
      path      = "/run/php"
      read_only = true
    }
    file "/srv/shop/style.css" { content = "body { max-width: 40em }\n" }
    file "/etc/nginx/shop.conf" {
      reload  = "SIGHUP"
      content = <<-EOT
        pid /tmp/nginx.pid;
        error_log stderr;
        events {}
        http {
          include /etc/nginx/mime.types;
          access_log /dev/stdout;
          server {
            listen 127.0.0.1:8080;
            root /srv/shop;
            location / {
              include /etc/nginx/fastcgi_params;
              fastcgi_param SCRIPT_FILENAME /srv/shop/index.php;
              fastcgi_pass unix:/run/php/fpm.sock;
            }
            location = /style.css {}
          }
        }
      EOT
    }
    probe "ready" { http = { port = 8080, path = "/style.css" } }
    resources { memory = "64MiB" }
    stop { signal = "SIGQUIT" }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    upstream "warehouse" { listen = 9001 }
    publish "https" {
      host = 443
      port = 8443
    }
    allow = ["${var.warehouse}:8080/tcp"]
    secret "site.pem" { reload = "SIGUSR2" } # a renewed certificate restarts nothing
    file "/etc/haproxy/haproxy.cfg" {
      reload  = "SIGUSR2"
      content = <<-EOT
        defaults
            mode http
            timeout connect 2s
            timeout client 30s
            timeout server 30s

        listen shop
            bind :::8443 v4v6 ssl crt /run/secrets/site.pem
            option forwardfor
            server nginx 127.0.0.1:8080

        listen warehouse
            bind ${upstream.warehouse}
            server warehouse ${var.warehouse}:8080
      EOT
    }
    probe "ready" { tcp = { port = "warehouse" } }
    resources { memory = "96MiB" }
    stop { signal = "SIGUSR1" }
  }

  volume "socket" {
    size  = "1MiB"
    owner = local.user
  }
}
