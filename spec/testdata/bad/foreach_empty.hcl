variable "sites" { default = [] }

group "edge" {
  for_each = var.sites
  egress   = "none"
  app "web" { image = "registry.example/web:1" }
}
