variable "a b" {}
variable "x" { type = strin }
variable "y" {
  type    = number
  default = "many"
}
variable "y" {}
variable "z" { default = var.x }
variable "w" {
  default = "1"
  description = ["x"]
}
group "g" {
  egress = "none"
  app "a" { image = "x" }
}
