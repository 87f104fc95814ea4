group "g" {
  egres = "none"
  egress = "none"
  sidcar "s" { image = "x" }
  imag = "x"
  image = "x"
  app "a" { image = "x" }
}
