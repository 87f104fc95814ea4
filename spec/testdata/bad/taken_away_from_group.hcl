group "g" {
  egress = "none"
  host_network = true
  share_process_namespace = true
  runtime = "kata"
  app "a" { image = "x" }
}
