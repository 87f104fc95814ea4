group "meters" {
  egress = "none"
  app "reader" {
    image = "x"
    device "/dev/net/tun" {}
    device "/dev/vhost-net" {}
    device "/dev/vsock" {}
    device "/dev/bus/usb/001/004" {}
    device "/dev/uinput" {}
    device "/dev/sda1" {}
    device "/dev/disk/by-id/x" {}
    device "/dev/mem" {}
    device "/dev/cdc-wdm0" {}
    device "/dev/wwan0at0" {}
    device "/dev/fuse" {}
    device "/dev/loop-control" {}
    device "/dev/tty1" {}
    device "/dev/ptmx" {}
    device "/dev/null" {}
    device "/dev/kvm" {}
    device "/dev/infiniband/uverbs0" {}
    device "/dev/snd/seq" {}
  }
  app "shapes" {
    image = "x"
    device "ttyUSB0" {}
    device "nvidia.com/gpu=0" {}
    device "/dev" {}
    device "/dev/../etc/passwd" {}
    device "/srv/ttyUSB0" {}
    device "/dev/ttyUSB0:/dev/ttyS0:rwm" {}
    device "/dev/ttyUSB1" { access = "rwm" }
    device "/dev/ttyUSB2" { access = "" }
    device "/dev/ttyUSB3" { to = "/srv/modem" }
    device "/dev/ttyUSB4" { to = "/dev/shm/modem" }
    device "/dev/ttyUSB5" { to = "modem" }
    device "/dev/ttyUSB6" { to = "/dev/pts" }
    device "/dev/ttyUSB7" {}
    device "/dev/ttyUSB7" {}
    device "/dev/input/event0" { access = "rw" }
    device "/dev/hwrng" { access = "w" }
    device "/dev/ttyUSB8" { permissions = "rwm" }
    device "/dev/ttyUSB9" { to = "/dev/ttyUSB7/second" }
    device {}
  }
  app "cdi" {
    image = "x"
    cdi   = ["nvidia.com/gpu", "all", "/dev/nvidia0", "nvidia.com/gpu=0,1", "=0", 1, null, "nvidia.com/gpu=${"\u0000"}"]
  }
  app "one" {
    image = "x"
    cdi   = "nvidia.com/gpu=0"
  }
  app "others" {
    image   = "x"
    devices = ["/dev/ttyUSB0:/dev/ttyUSB0"]
    device  = "/dev/ttyUSB0"
    gpus    = "all"
    device_cgroup_rules = ["c 188:* rwm"]
    device "/dev/ttyS1" {
      unsafe {}
    }
    resources {
      device "nvidia/gpu" {}
    }
  }
}
