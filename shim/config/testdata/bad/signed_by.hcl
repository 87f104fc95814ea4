signed_by = "registry.example"

signed_by {
  key = "/etc/sallyport/keys/team.pub"
}

signed_by "busybox" {
  key = "/etc/sallyport/keys/team.pub"
}

signed_by "registry.example/team:1" {
  key = "team.pub"
}

signed_by "registry.example" {
  keys = "/etc/sallyport/keys/team.pub"
}

signed_by "registry.example/b" {
  key = file("team.pub")
  keyless {}
}

signed_by "registry.example/c" {
  key = "/etc/sallyport/keys/c.pub" # sound
}

signed_by "registry.example/c" {
  key = "/etc/sallyport/keys/c.pub"
}

signed_by "registry.example/c" {
  key = "none"
}

signed_by "registry.example/d" {}
