locals {
  s = [for i in range(1000) : format("%d", i)]
  x = [for i in range(1000) : setunion(local.s, ["${i}"])]
}
group "g" {
  egress = "none"
  app "a" { image = "x" }
}
