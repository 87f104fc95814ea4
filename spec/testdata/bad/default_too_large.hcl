locals {
  x = 1
}
variable "v" {
  type    = object({ a = optional(list(any), [for i in [1, 2, 3, 4, 5, 6, 7, 8] : [for j in [1, 2, 3, 4, 5, 6, 7, 8] : [for k in [1, 2, 3, 4, 5, 6, 7, 8] : [for l in [1, 2, 3, 4, 5, 6, 7, 8] : [for m in [1, 2, 3, 4, 5, 6, 7, 8] : [for n in [1, 2, 3, 4, 5, 6, 7, 8] : 1]]]]]]) })
  default = {}
}
group "g" {
  egress = "none"
  app "a" { image = "x" }
}
