group "g" {
  egress = "none"
  resources { memory = "48MiB" }
  app "a" {
    image     = "x"
    read_only = "yes"
    user      = "1000"
    resources { memory = "32MiB" }
    tmpfs "tmp" {}
    tmpfs "/" {}
    tmpfs "/proc/x" {}
    tmpfs "/dev/shm" {}
    tmpfs "/run" {}
    tmpfs "/run/" { exec = true }
    mount "v" { path = "/v" }
    tmpfs "/v" { size = "1MiB" }
    file "/f" { content = "x" }
    tmpfs "/f" {}
    tmpfs "/f/below" {}
    tmpfs "/etc/hosts" {}
    tmpfs "/etc/resolv.conf/x" {}
    file "/v/x" { content = "x" }
    file "/v/x/y" { content = "x" }
    tmpfs "/s1" { size = "0B" }
    tmpfs "/s2" { size = "32" }
    tmpfs "/s3" { size = "33MiB" }
    tmpfs "/s4" { size = "32MiB" }
    tmpfs "/m1" { mode = 1777 }
    tmpfs "/m2" { mode = "7777" }
    tmpfs "/o" { owner = "www-data" }
    tmpfs "/n" { noexec = false }
    tmpfs { path = "/tmp" }
    tmpfs "/nul\u0000" {}
    mount "v" { path = "/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" }
  }
  app "b" {
    image = "x"
    tmpfs "/default" {}
    tmpfs "/large" { size = "1GiB" }
    mount "v" { path = "/etc/hostname" }
    tmpfs "/ok" { size = "48MiB" }
  }
  app "c" {
    image     = "x"
    read_only = true
    tmpfs     = ["/run", "/tmp"]
    readonly_rootfs = true
  }
  app "d" {
    image = "x"
    mount "v" {
      path      = "/v"
      read_only = true
    }
    mount "disk" {
      path      = "/v/disk"
      read_only = true
    }
    tmpfs "/v/tmp" {}
    tmpfs "/v/disk/tmp" {}
  }
  volume "v" {}
  volume "disk" { persistent = true }
}
