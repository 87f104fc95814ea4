# A first group, from two ordinary images. The README walks through it.

variable "app" { default = "busybox:1.37" }
variable "proxy" { default = "haproxy:3.2" }
variable "world" { default = "example.com:80" } # the one service that the proxy calls

group "first" {
  app "web" {
    image   = var.app
    command = ["httpd", "-f", "-p", "127.0.0.1:8080", "-h", "/www"]
    file "/www/index.html" { content = "hello from behind the door\n" }
    probe "ready" { http = { port = 8080 } }
    stop { signal = "SIGKILL" } # it has nothing to finish
  }

  ambassador "proxy" {
    image   = var.proxy
    command = ["haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    env     = { WORLD = var.world }
    upstream "example" { listen = 9001 } # members call 127.0.0.1:9001
    publish "http" {                     # the only way in: port 8088 of the host
      host = 8088
      port = 8088
    }
    probe "ready" { tcp = { port = 9001 } } # the app starts when this port answers
    file "/etc/haproxy/haproxy.cfg" { source = "haproxy.cfg" }
  }
}
