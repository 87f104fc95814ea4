# vars: n=three b=yes l=[1, m={a=b tga=1
variable "n" { type = number }
variable "b" {
  type = bool
}
variable "l" { type = list(string) }
variable "m" { type = map(string) }
variable "tag" { default = "1" }
group "g" {
  egress = "none"
  app "a" { image = "x" }
}
