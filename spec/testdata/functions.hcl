# What functions read and compute: files in the folder of the group file, YAML, sums and networks.

locals {
  ports = yamldecode(file("ports.yaml")).ports
  net   = "10.20.0.0/16"
}

group "functions" {
  egress = "none"
  app "web" {
    image = "registry.example/web:1"
    env = {
      CONFIG  = sha256(file("./haproxy.cfg"))
      FILES   = join(",", fileset("conf", "*.cfg"))
      BELOW   = join(",", fileset(".", "conf/p*"))
      HOST    = cidrhost(local.net, 5)
      LAST    = cidrhost("2001:db8::/64", -1)
      MASK    = cidrnetmask("10.20.30.40/20")
      SUBNET  = cidrsubnet(local.net, 8, 3)
      SUBNETS = join(",", cidrsubnets(local.net, 4, 8, 4))
    }
    file "/etc/ports" { content = templatefile("conf/web.tpl", { ports = local.ports }) }
  }
}
