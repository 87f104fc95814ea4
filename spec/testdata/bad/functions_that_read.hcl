group "g" {
  egress = "none"
  app "a" {
    image = "x"
    env = {
      A = file("/etc/passwd")
      B = file("conf/../../secret")
      D = file("logo.png")
      E = file("")
      G = join(",", fileset("conf", "*/x"))
      H = join(",", fileset("conf", "[a"))
      I = join(",", fileset("..", "*"))
      J = templatefile("conf/bad.tpl", { port = 1 })
      K = templatefile("conf/half.tpl", {})
      L = templatefile("conf/self.tpl", {})
      M = templatefile("conf/call.tpl", {})
      N = templatefile("conf/web.tpl", 1)
      O = templatefile("conf/web.tpl", { ports = 1 })
    }
  }
}
