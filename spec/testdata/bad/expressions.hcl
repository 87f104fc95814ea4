group "g" {
  egress = "none"
  app "a" {
    image = "x"
    env = {
      A = 1 / 0
      B = "a" + 1
      C = [1][3]
      D = { a = 1 }.b
      E = true ? 1 : [2]
      F = null
      G = ["x"]
    }
  }
}
