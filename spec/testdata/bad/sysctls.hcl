group "g" {
  egress = "none"
  app "a" {
    image = "x"
    sysctls = {
      "net.core.somaxconn"                  = 1024
      "net.ipv4.ip_forward"                 = 1
      "net.ipv4.ip_unprivileged_port_start" = 0
      "net.ipv4.ping_group_range"           = "0 0"
      "vm.max_map_count"                    = 262144
      "kernel.shmmaxx"                      = 1
      "kernel.shmmax"                       = "lots"
      "kernel.sem"                          = 250
      "kernel.msgmni"                       = 99999
      "kernel.shm_rmid_forced"              = true
    }
  }
  app "b" {
    image   = "x"
    sysctls = ["kernel.shmmax=1"]
  }
  app "c" {
    image  = "x"
    sysctl = {}
  }
  app "d" {
    image   = "x"
    sysctls = { "kernel.sem" = "250 32000 2147483647 128" }
  }
  network {
    sysctls = {
      "kernel.shmmax"                = 1
      "net.core.somaxcon"            = 1024
      "net.ipv4.ip_local_port_range" = "60999 32768"
      "net.ipv4.tcp_rmem"            = "4096 87380"
      "net.ipv4.conf.all.rp_filter"  = 0
      "net.ipv4.tcp_fwmark_accept"   = 1
      "net.ipv4.tcp_fin_timeout"     = 0.5
    }
  }
}
group "few" {
  egress = "none"
  app "a" {
    image = "x"
  }
  network {
    sysctls = {
      "net.ipv4.ip_local_port_range" = "8080 8443"
      "net.ipv4.tcp_wmem"            = "4096 67108864 67108864"
    }
  }
}
group "pinging" {
  app "a" {
    image = "x"
  }
  ambassador "b" {
    image   = "x"
    sysctls = { "net.ipv4.ping_group_range" = "1 0" }
  }
  network {
    sysctls = { "net.ipv4.ping_group_range" = "0 0" }
  }
}
group "pinged" {
  app "a" {
    image = "x"
  }
  ambassador "b" {
    image = "x"
    sysctls = {
      "net.ipv4.ping_groups_range" = "0 0"
      "net.core.somaxconn"         = 5
    }
  }
}
