group "g" {
  egress = "none"
  sidecar "s" { image = "x" }
}
