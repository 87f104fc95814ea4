group "g" {
  egress = "none"
  app "web" {
    image = "web:1"
    mount "both" { path = "/both" }
    mount "read" {
      path      = "/read"
      read_only = true
    }
  }
  sidecar "backup" {
    image = "backup:1"
    mount "both" { path = "/both" }
    mount "read" {
      path      = "/read"
      read_only = true
    }
    tmpfs "/t" { owner = "www-data" }
  }
  volume "both" { owner = "www-data" }
  volume "read" { owner = "www-data:www-data" }
  volume "unused" { owner = "1000:adm" }
  volume "wrong" { owner = "www data" }
  volume "host" {
    host_path = "/srv/data"
    owner     = "www-data"
  }
}
