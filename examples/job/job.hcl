# A job: it reads its standard input, prints, and is removed. Run it with
# "sallyport run -i job.hcl". It needs no way out.

variable "app" { default = "busybox:1.37" }

group "upper" {
  egress = "none"

  app "main" {
    image   = var.app
    command = ["tr", "a-z", "A-Z"]
  }
}
