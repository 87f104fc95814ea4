# What runs before the signal.
group "stops" {
  egress = "none"
  app "web" {
    image = "web"
    stop {
      timeout  = "30s"
      pre_stop = ["/bin/drain", group.name]
    }
  }
}
