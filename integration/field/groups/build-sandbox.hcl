# Builds what a stranger has sent, by its own script and with no way out at all: sallyport run build-sandbox.hcl. The
# sources are read-only, and the result is left in a folder of the host.

variable "sources" { default = "/srv/build/in" }
variable "result" { default = "/srv/build/out" }

locals {
  images = "oci-archive:../../../build/images/field"
  user   = "65534:65534"
}

group "build-sandbox" {
  egress  = "none"
  timeout = "15m"

  app "compile" {
    image        = "${local.images}/python.tar"
    user         = local.user
    capabilities = []
    read_only    = true
    command      = ["/usr/bin/python3.11", "/in/build.py", "/out"]
    tmpfs "/tmp" { size = "256MiB" }
    mount "sources" {
      path      = "/in"
      read_only = true
    }
    mount "result" { path = "/out" }
    restart { policy = "never" }
    resources {
      cpu    = 2
      memory = "1GiB"
      pids   = 128
    }
  }

  volume "sources" { host_path = var.sources }
  volume "result" { host_path = var.result }
}
