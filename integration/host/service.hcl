group "web" {
  resources {
    memory = "128MiB"
    pids   = 60
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
}
group "resting" {
  egress = "none"
  app "a" {
    image   = "oci-archive:/srv/busybox.tar"
    command = ["/bin/sleep", "100000"]
    stop { timeout = "1s" }
  }
}
