group "g" {
  egress = "none"
  app "a" {
    image = "x"
    command = []
  }
}
group "h" {
  egress = "none"
  app "a" {
    image = "x"
    args = []
  }
}
