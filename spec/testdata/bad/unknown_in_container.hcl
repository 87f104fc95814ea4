group "g" {
  egress = "none"
  app "a" {
    image = "x"
    imgae = "x"
    enviroment = {}
    monut "v" {}
    something_else = 1
    size = "1MiB"
  }
}
