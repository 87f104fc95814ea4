group "g" {
  egress = "none"
  app "a" {
    image = "x"
    mount "/run/containerd/containerd.sock" { path = "/c" }
    mount "/var/run/docker.sock" { path = "/d" }
    mount "/srv/data" { path = "/e" }
    volumes = ["/var/run/docker.sock:/var/run/docker.sock"]
  }
  volume "v0" { host = "/run/containerd/containerd.sock" }
  volume "v1" { host_path = "/run/podman/podman.sock" }
  volume "v2" { source = "/run/systemd/private" }
  volume "v3" { bind = "/run/dbus/system_bus_socket" }
  volume "v4" { path = "/run/sallyport/sallyport.sock" }
  volume "v5" { host = "/run" }
  volume "v6" { host = "/var/run" }
  volume "v7" { host = "/" }
  volume "v8" { host = "/dev/net" }
  volume "v9" { device = "/dev/vhost-net" }
  volume "v10" { host = "/sys/fs/cgroup" }
  volume "v11" { host = "/srv/../run/./docker.sock" }
}
