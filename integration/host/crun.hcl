group "c" {
  app "app" {
    image   = "oci-archive:build/images/attack.tar"
    command = ["/attack", "loop", "198.51.100.66", "80", "2ms"]
    stop    { signal = "SIGKILL" }
  }
  sidecar "side" {
    image   = "oci-archive:build/images/attack.tar"
    command = ["/attack", "offer", "200"]
    stop    { signal = "SIGKILL" }
  }
  ambassador "amb" {
    image   = "oci-archive:build/images/attack.tar"
    command = ["/attack", "offer", "300"]
    stop    { signal = "SIGKILL" }
  }
}
