group "full" {
  egress = "none"
  app "web" {
    image   = "oci-archive:build/images/attack.tar"
    command = ["/bin/sleep", "100000"]
    mount "data" { path = "/data" }
    resources { disk = "8MiB" }
    stop { signal = "SIGKILL" }
  }
  volume "data" {
    persistent = true
    size       = "8MiB"
  }
}

group "other" {
  egress = "none"
  app "web" {
    image   = "oci-archive:build/images/attack.tar"
    command = ["/bin/sleep", "100000"]
    mount "data" { path = "/data" }
    stop { signal = "SIGKILL" }
  }
  volume "data" { persistent = true }
}
