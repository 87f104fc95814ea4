group "door" {
  app "a" {
    image   = "oci-archive:/srv/attack.tar"
    command = ["/attack", "listen", "7002"] # a published port is the ambassador's
    stop { timeout = "1s" }
  }
  ambassador "p" {
    image   = "oci-archive:/srv/attack.tar"
    command = ["/attack", "listen", "7001"]
    publish "members" {
      host = 7000
      port = 7000
    }
    publish "own" {
      host = 7001
      port = 7001
    }
    probe "ready" { tcp = { port = 7001 } }
    stop { timeout = "1s" }
  }
}
