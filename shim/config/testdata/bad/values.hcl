log_level = "loud"
cgroup    = "sallyport"

folders {
  run    = "run"
  state  = 5
  logs   = var.logs
  groups = "/etc/${"x"}"
}

containerd {
  socket    = "run/containerd.sock"
  program   = null
  namespace = "sally port"
  shim      = "none"
}

network {
  prefix4 = "10.0.0.1/16"
  prefix6 = "10.0.0.0/16"
  table   = "1 table"
}

output {
  size    = "10KiB"
  total   = "lots"
  removed = "1 day"
}

metrics {
  listen = "localhost:9469"
}
