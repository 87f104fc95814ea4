variable "nobody" { type = string }
group "g" {
  egress = "none"
  app "a" { image = "x" }
