variable "word" {
  type    = string
  default = "one"
}
group "d" {
  update {
    health_timeout = "2m"
    auto_revert    = true
  }
  resources {
    memory    = "128MiB"
    cpu       = 0.5
    pids      = 60
    io_weight = 200
  }
  init "once" {
    image   = "oci-archive:build/images/busybox.tar"
    command = ["/bin/sh", "-c", "echo ${var.word} > /data/word; id -u"]
    user    = "65532:65532"
    mount "data" { path = "/data" }
  }
  app "a" {
    image   = "oci-archive:build/images/busybox.tar"
    command = ["/bin/sleep", "10000"]
    env     = { WORD = var.word }
    resources {
      memory    = "32MiB"
      swap      = "0B"
      io_weight = 300
    }
    probe "live" {
      exec     = ["/bin/true"]
      interval = "5s"
      timeout  = "30s"
    }
    stop { timeout = "1s" }
  }
  ambassador "p" {
    image   = "oci-archive:build/images/busybox.tar"
    command = ["/bin/sh", "-c", "while true; do echo hi | nc -l -p 9001; done"]
    probe "ready" { tcp = { port = 9001 } }
    stop { timeout = "1s" }
  }
  volume "data" {
    persistent = true
    owner      = "65532:65532"
    mode       = "0750"
  }
}
