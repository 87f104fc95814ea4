group "g" {
  egress = "none"
  app "a" {
    image    = "x"
    env_file = ["missing.env"]
  }
  app "b" {
    image    = "x"
    env_file = ["/proc/self/environ"]
    env      = { TZ = "UTC" }
    timezone = "Europe/Berlin"
  }
  app "c" {
    image    = "x"
    env_file = "c.env"
    timezone = "Europe/Atlantis"
    groups   = ["adm", "a b", -1, 4294967295]
  }
  app "d" {
    image  = "x"
    groups = "adm"
    resources { cpuset = "0-x" }
  }
  app "e" {
    image     = "x"
    group_add = ["adm"]
    tz        = "Europe/Berlin"
    cpus_allowed = "0"
    resources { cpuset = "3-1" }
  }
  app "f" {
    image = "x"
    resources { cpuset = "0,9999" }
  }
  app "h" {
    image = "x"
    resources { cpuset_cpus = "0" }
  }
  resources { cpuset = "0" }
}
