group "g" {
  egress = "none"
  app "a" {
    image = "x"
    privileged = true
    network_mode = "host"
    host_network = true
    pid_mode = "host"
    ipc = "host"
    userns = "host"
    devices = ["/dev/net/tun"]
    cap_add = ["NET_ADMIN"]
    security_opt = ["seccomp=unconfined"]
    runtime = "runsc"
    cgroup_parent = "/"
    sysctl = {}
    network {}
    device "/dev/net/tun" {}
  }
}
