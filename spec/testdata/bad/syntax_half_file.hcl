group "g" {
  app "web" {
    image = "registry.example/we