group "g" {
  egress = "none"
  app "word" {
    image = "web:1"
    pull  = "alway"
  }
  app "type" {
    image = "web:1"
    pull  = true
  }
  app "archive" {
    image = "oci-archive:web.tar"
    pull  = "always"
  }
  app "digest" {
    image = "web@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    pull  = "always"
  }
}
