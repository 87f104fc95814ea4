group "g" {
  egress = "none"
  output { size = "50MiB" }
  app "small" {
    image = "x"
    output { size = "1023KiB" }
  }
  app "large" {
    image = "x"
    output { size = "2TiB" }
  }
  app "number" {
    image = "x"
    output {
      size    = 50
      split   = "often"
      journal = 1
    }
  }
  app "twice" {
    image = "x"
    output { split = true }
    output { journal = true }
  }
  app "unknown" {
    image = "x"
    output {
      max_size = "10m"
      sise     = "50MiB"
    }
  }
  app "attribute" {
    image  = "x"
    output = "journal"
  }
  app "label" {
    image = "x"
    output "web" { split = true }
  }
  app "other" {
    image   = "x"
    logging = { driver = "journald" }
  }
}
