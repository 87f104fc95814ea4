group "g" {
  egress = "none"
  app "a" {
    image = "x"
    env = {
      A = filebase64("/etc/passwd")
      B = uper("x")
      C = frobnicate(1)
      D = upper()
      E = base64decode("%%")
      F = format("%1000000000s", "x")
      G = jsondecode("{")
      H = length(5)
      I = timestamp()
      J = yamlencode({ a = 1 })
      K = indent(2, "x")
      L = fileexists("x")
    }
  }
}
