group "g" {
  egress = "none"
  app "a" {
    image = "x"
    signed_by {}
  }
  app "k0" {
    image = "x"
    signed_by { key = "/etc/sallyport/keys/missing.pub" }
  }
  app "k1" {
    image = "x"
    signed_by { key = "/etc/sallyport/keys/two.pub" }
  }
  app "k2" {
    image = "x"
    signed_by { key = "/etc/sallyport/keys/weak.pub" }
  }
  app "k3" {
    image = "x"
    signed_by { key = "/etc/sallyport/keys/damaged.pub" }
  }
  app "k4" {
    image = "x"
    signed_by { key = "/etc/sallyport/keys/cosign.key" }
  }
  app "k5" {
    image = "x"
    signed_by { key = "/etc/sallyport/keys/vendor.crt" }
  }
  app "k6" {
    image = "x"
    signed_by { key = "/etc/sallyport/keys/ssh.pub" }
  }
  app "i" {
    image = "x"
    signed_by {
      key      = "/etc/sallyport/keys/vendor.pub"
      identity = "registry.example/vendor/web:1"
    }
    signed_by {
      key      = "/etc/sallyport/keys/vendor.pub"
      identity = "https://registry.example/vendor/web"
    }
    signed_by {
      key    = "/etc/sallyport/keys/vendor.pub"
      bundle = "/etc/sallyport/keys/vendor.pub"
    }
    signed_by {
      key         = "/etc/sallyport/keys/vendor.pub"
      issuer      = "https://accounts.example"
      certificate = "/etc/sallyport/keys/vendor.crt"
      rekor       = true
    }
    signed_by {
      keyless { subject = "bob@registry.example" }
    }
  }
  app "t" {
    image             = "oci-archive:web.tar"
    verify            = true
    content_trust     = true
    signature_policy  = "policy.json"
    signed_by { key = "/etc/sallyport/keys/vendor.pub" }
  }
}
