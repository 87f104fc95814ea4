# The order of apps, and of sidecars.
group "ordered" {
  egress = "none"
  app "web" {
    image = "web"
    after = ["db", "migrate", "db"]
  }
  app "db" { image = "db" }
  app "migrate" {
    image = "migrate"
    after = ["db"]
    restart { policy = "on-failure" }
  }
  sidecar "shipper" {
    image = "shipper"
    after = ["metrics"]
  }
  sidecar "metrics" { image = "metrics" }
}
