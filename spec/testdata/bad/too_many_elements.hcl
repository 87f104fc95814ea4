locals {
  x = [for i in range(1000) : [for j in range(1000) : [for k in range(1000) : "x"]]]
}
group "g" {
  egress = "none"
  app "a" { image = "x" }
}
