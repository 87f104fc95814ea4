group "apart" {
  app "app" {
    image   = "oci-archive:build/images/attack.tar"
    command = ["/attack", "offer", "100"]
  }
  sidecar "side" {
    image   = "oci-archive:build/images/attack.tar"
    command = ["/attack", "offer", "200"]
  }
  ambassador "amb" {
    image   = "oci-archive:build/images/attack.tar"
    command = ["/attack", "offer", "300"]
  }
}
