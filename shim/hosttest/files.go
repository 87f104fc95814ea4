package hosttest

import "strings"

// Shop is a group file with an ambassador, a sidecar, an app and a volume.
const Shop = `
group "shop" {
  ambassador "proxy" {
    image = "registry.example/haproxy:2"
    publish "http" {
      host = 8443
      port = 443
    }
  }
  sidecar "shipper" {
    image = "registry.example/shipper:3"
    mount "logs" { path = "/logs" }
  }
  app "web" {
    image = "registry.example/web:1"
    mount "logs" { path = "/var/log" }
  }
  volume "logs" { size = "64MiB" }
}
`

// Job is a group file with one app that is never restarted.
const Job = `
group "job" {
  egress = "none"
  app "once" {
    image = "registry.example/once:1"
    restart { policy = "never" }
  }
}
`

// Edited returns a text after replacements: old, new, old, new.
func Edited(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }
