group "g" {
  egress = "none"
  app "a" {
    image = "x"
    env = {
      A = cidrhost("10.0.0.0/30", 4)
      B = cidrhost("10.0.0.0", 1)
      C = cidrhost("10.0.0.0/30", 0.5)
      D = cidrnetmask("2001:db8::/32")
      E = cidrsubnet("10.0.0.0/30", 3, 0)
      F = cidrsubnet("10.0.0.0/24", 1, 2)
      G = join(",", cidrsubnets("10.0.0.0/24", 1, 1, 1))
      H = yamldecode("a: [1")
      I = yamldecode("a: *b")
      J = sha256([])
    }
  }
}
