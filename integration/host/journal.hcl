group "told" {
  egress = "none"
  app "a" {
    image   = "oci-archive:/srv/busybox.tar"
    command = ["/bin/sh", "-c", "while i=$((i + 1)); do echo line $i; [ $((i % 50)) != 0 ] || sleep 1; done"]
    output { journal = true }
    stop { timeout = "1s" }
  }
  sidecar "b" {
    image   = "oci-archive:/srv/busybox.tar"
    command = ["/bin/sh", "-c", "echo wrong >&2; head -c 300000 /dev/zero | tr '\\0' x; echo; sleep 100000"]
    output {
      journal = true
      split   = true
    }
    stop { timeout = "1s" }
  }
}
