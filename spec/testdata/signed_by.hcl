# Who has to have signed the images: one of the group's keys, or of the container's own.
group "signed" {
  egress = "none"
  signed_by { key = "/etc/sallyport/keys/vendor.pub" }
  signed_by { key = "../keys/team.pub" }
  app "web" { image = "registry.example/vendor/web:1" }
  app "mirrored" {
    image = "mirror.example/web:1"
    signed_by {
      key      = "/etc/sallyport/keys/vendor.pub"
      identity = "registry.example/vendor/web"
    }
  }
  sidecar "archived" {
    image = "oci-archive:web.tar"
    signed_by {
      key    = "/etc/sallyport/keys/vendor.pub"
      bundle = "/etc/sallyport/web.sigstore.json"
    }
  }
  sidecar "nulls" {
    image = "x"
    signed_by {
      key      = "/etc/sallyport/keys/vendor.pub"
      identity = null
      bundle   = null
    }
  }
}
