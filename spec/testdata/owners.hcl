# Owners of volumes by the names of an image.
group "database" {
  egress = "none"
  init "schema" {
    image = "registry.example/postgres:17"
    mount "data" { path = "/data" }
  }
  app "postgres" {
    image = "registry.example/postgres:17"
    mount "data" { path = "/data" }
    mount "conf" {
      path      = "/conf"
      read_only = true
    }
  }
  sidecar "backup" {
    image = "registry.example/backup:1"
    mount "data" {
      path      = "/data"
      read_only = true
    }
  }
  volume "data" {
    persistent = true
    owner      = "postgres"
  }
  volume "conf" {
    owner = "postgres:999"
    mode  = "0700"
  }
}
