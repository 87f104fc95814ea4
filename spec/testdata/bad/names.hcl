group "my_group" {
  egress = "none"
  app "Web" { image = "x" }
  app "-a" { image = "x" }
  app "" { image = "x" }
  app "a-name-that-is-longer-than-it-can-be" { image = "x" }
  volume "a/b" {}
}
