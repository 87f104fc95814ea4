group "packaged" {
  init "once" {
    image   = "oci-archive:/srv/busybox.tar"
    command = ["/bin/sh", "-c", "echo kept >> /data/word"]
    mount "data" { path = "/data" }
  }
  app "a" {
    image   = "oci-archive:/srv/busybox.tar"
    command = ["/bin/sleep", "100000"]
    stop { timeout = "1s" }
  }
  ambassador "p" {
    image   = "oci-archive:/srv/busybox.tar"
    command = ["/bin/sh", "-c", "while true; do echo hi | nc -l -p 9001; done"]
    probe "ready" { tcp = { port = 9001 } }
    stop { timeout = "1s" }
  }
  volume "data" { persistent = true }
}
group "resting" {
  egress = "none"
  app "a" {
    image   = "oci-archive:/srv/busybox.tar"
    command = ["/bin/sleep", "100000"]
    stop { timeout = "1s" }
  }
}
