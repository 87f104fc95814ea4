group "g" {
  egress = "none"
  app "a0" { image = "x/UPPER" }
  app "a1" { image = "docker://x" }
  app "a2" { image = "x:bad tag" }
  app "a3" { image = "oci-archive:" }
  app "a4" { image = "x@sha256:12" }
  app "a5" { image = "-x" }
  app "a6" { image = "docker-archive:" }
  app "a7" { image = "oci:" }
  app "a8" { image = "docker-archive:bundle.tar:" }
}
