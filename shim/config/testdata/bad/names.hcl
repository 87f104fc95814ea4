log_levl = "info"
state    = "/var/lib/sallyport"
folders  = "/srv"

folder {
  run = "/run/x"
}

folders {
  stat   = "/srv/state"
  prefix4 = "10.0.0.0/16"
  groups {}
  more {}
}

cgroup {
}

group "web" {
}

network "lan" {
}

network {
}
