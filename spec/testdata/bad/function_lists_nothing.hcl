group "g" {
  egress = "none"
  app "a" {
    image = "x"
    env   = { F = join(",", fileset("absent", "*")) }
  }
}
