group "g" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    upstream "u" {
      lisen = 1
      listen = 1
    }
    publish "p" {
      host = 1
      port = 1
      proto = "udp"
    }
    resources { mem = "64MiB" }
    restart { polcy = "never" }
    stop { grace = "1s" }
    file "/f" {
      sorce = "haproxy.cfg"
      content = "x"
    }
  }
}

variable "v" {
  typ = string
  default = ""
}
