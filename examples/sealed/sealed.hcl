# A group without a door: no link, no way out or in. A program works on figures that must not leave
# the machine. A sidecar serves them over localhost. Neither can send them out, even if its image is
# malicious.

group "sealed" {
  egress = "none"

  app "batch" {
    image   = "oci-archive:../../build/images/busybox.tar"
    command = ["/bin/sh", "/batch.sh"]
    user    = "65534:65534"
    env     = { FIGURES = "http://127.0.0.1:8080/figures.csv" }
    file "/batch.sh" { source = "batch.sh" }
    resources {
      cpu    = 0.25
      memory = "32MiB"
      pids   = 16
    }
    stop { timeout = "2s" }
  }

  sidecar "store" {
    image   = "oci-archive:../../build/images/busybox.tar"
    command = ["/bin/httpd", "-f", "-p", "127.0.0.1:8080", "-h", "/www"]
    user    = "65534:65534"
    file "/www/figures.csv" { source = "figures.csv" }
    resources {
      cpu    = 0.25
      memory = "32MiB"
      pids   = 16
    }
    stop { signal = "SIGKILL" } # it has nothing to finish
  }
}
