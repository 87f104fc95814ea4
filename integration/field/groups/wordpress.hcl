# WordPress as its compose files have it: MariaDB, PHP-FPM and nginx. WordPress fetches updates and plugins from two
# hosts, through the same nginx.

group "wordpress" {
  labels = { site = "blog" }
  secret "db" { file = "/etc/keys/wordpress-db" }
  update {
    health_timeout = "3m"
    auto_revert    = true
  }
  resources { memory = "1GiB" }

  sidecar "db" {
    image    = "docker.io/library/mariadb:11.4"
    shm_size = "128MiB"
    args     = ["--bind-address=127.0.0.1", "--innodb-buffer-pool-size=128M"]
    env = {
      MARIADB_DATABASE             = "wordpress"
      MARIADB_USER                 = "wordpress"
      MARIADB_PASSWORD_FILE        = "/run/secrets/db"
      MARIADB_RANDOM_ROOT_PASSWORD = "yes"
    }
    secret "db" {
      owner     = "mysql"
      on_change = "none" # it is for the first start, which makes the database
    }
    mount "db" { path = "/var/lib/mysql" }
    probe "ready" {
      exec     = ["healthcheck.sh", "--connect", "--innodb_initialized"]
      timeout  = "5s"
      failures = 10
    }
    resources { memory = "512MiB" }
    stop { timeout = "1m" }
  }

  app "php" {
    image = "docker.io/library/wordpress:6.7-php8.3-fpm"
    env = {
      WORDPRESS_DB_HOST          = "127.0.0.1:3306"
      WORDPRESS_DB_USER          = "wordpress"
      WORDPRESS_DB_NAME          = "wordpress"
      WORDPRESS_DB_PASSWORD_FILE = "/run/secrets/db"
      WORDPRESS_CONFIG_EXTRA     = "define('WP_HTTP_BLOCK_EXTERNAL', false);"
    }
    secret "db" { owner = "www-data" }
    mount "site" { path = "/var/www/html" }
    probe "ready" { tcp = { port = 9000 } }
    resources { memory = "384MiB" }
    stop { signal = "SIGQUIT" }
  }

  ambassador "nginx" {
    image = "docker.io/library/nginx:1.27"
    upstream "updates" {
      listen = 443
      hosts  = ["api.wordpress.org", "downloads.wordpress.org"]
    }
    publish "http" {
      host = 80
      port = 80
    }
    mount "site" {
      path      = "/var/www/html"
      read_only = true
    }
    file "/etc/nginx/nginx.conf" {
      reload  = "SIGHUP"
      content = <<-EOT
        user nginx;
        events {}
        stream {
          resolver 9.9.9.9;
          map $ssl_preread_server_name $to {
            api.wordpress.org api.wordpress.org:443;
            downloads.wordpress.org downloads.wordpress.org:443;
          }
          server {
            listen 127.0.0.1:443;
            ssl_preread on;
            proxy_pass $to;
          }
        }
        http {
          include /etc/nginx/mime.types;
          server {
            listen 80;
            root /var/www/html;
            index index.php;
            client_max_body_size 64m;
            location / { try_files $uri $uri/ /index.php?$args; }
            location ~ \.php$ {
              fastcgi_pass 127.0.0.1:9000;
              include fastcgi_params;
              fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            }
          }
        }
      EOT
    }
    probe "ready" { tcp = { port = "http" } }
    resources { memory = "96MiB" }
    stop { signal = "SIGQUIT" }
  }

  volume "db" {
    persistent = true
    size       = "5GiB"
    owner      = "999:999"
  }
  volume "site" {
    persistent = true
    size       = "10GiB"
    owner      = "33:33"
    mode       = "0755"
  }
}
