gruop "g" {}
image = "x"
app "web" {}
group "g" {
  egress = "none"
  app "a" { image = "x" }
}
