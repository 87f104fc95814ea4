group "g" {
  egress = "none"
  app "[31mred" { image = "x" }
}
