group "meters" {
  ambassador "sms" {
    image = "registry.example/sms:1"
    device "/dev/serial/by-id/usb-HUAWEI_E3372-if00-port0" {
      to     = "/dev/modem0"
      unsafe = true
    }
  }

  app "reader" {
    image  = "registry.example/reader:1"
    groups = ["20"]
    cdi    = ["nvidia.com/gpu=1", "nvidia.com/gpu=GPU-0a:1.2", "nvidia.com/gpu=1"]
    device "/dev/ttyUSB0" {}
    device "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0" {
      to       = "/dev/meters//second"
      optional = true
    }
    device "/dev/input/event3" { access = "r" }
    device "/dev/gpiochip0" {
      access = "rw"
      to     = "/dev/gpiochip0"
    }
  }
}
