# A broker at the edge: machines of the hall publish to it, and a bridge carries their readings on to the plant's
# broker. While the plant is away the broker keeps them.

variable "plant" { default = "198.51.100.83" } # the plant's broker, port 1883

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "mosquitto" {
  app "mosquitto" {
    image   = "${local.images}/mosquitto.tar"
    user    = local.user
    command = ["/usr/sbin/mosquitto", "-c", "/etc/mosquitto/mosquitto.conf"]
    file "/etc/mosquitto/mosquitto.conf" {
      content = <<-EOT
        listener 1883 127.0.0.1
        allow_anonymous true
        persistence true
        persistence_location /data/
        max_queued_messages 10000

        connection plant
        address ${upstream.plant}
        clientid hall
        topic # out 1 "" hall/
        cleansession false
        restart_timeout 1 10
      EOT
    }
    mount "data" { path = "/data" }
    probe "ready" {
      exec    = ["/usr/bin/mosquitto_sub", "-t", "$SYS/broker/uptime", "-C", "1", "-W", "3"]
      timeout = "5s"
    }
    resources {
      memory = "64MiB"
      pids   = 16
    }
  }

  ambassador "haproxy" {
    image   = "${local.images}/haproxy.tar"
    user    = local.user
    command = ["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
    env     = { PLANT = var.plant }
    upstream "plant" { listen = 1884 }
    publish "mqtt" {
      host = 1883
      port = 11883
    }
    allow = ["${var.plant}:1883/tcp"]
    rate { out = "1Mbit" } # the link is shared with the telephones
    file "/etc/haproxy/haproxy.cfg" {
      content = <<-EOT
        defaults
            mode tcp
            timeout connect 5s
            timeout client 1h
            timeout server 1h

        listen hall
            bind :11883
            maxconn 200
            server broker 127.0.0.1:1883

        listen plant
            bind 127.0.0.1:1884
            server plant "$${PLANT}:1883"
      EOT
    }
    probe "ready" { tcp = { port = "plant" } }
    resources { memory = "64MiB" }
    stop { signal = "SIGUSR1" }
  }

  volume "data" {
    persistent = true
    size       = "64MiB"
    owner      = local.user
  }
}
