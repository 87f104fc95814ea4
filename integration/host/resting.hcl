group "resting" {
  egress = "none"
  app "a" {
    image   = "oci-archive:build/images/busybox.tar"
    command = ["/bin/sleep", "10000"]
  }
}
