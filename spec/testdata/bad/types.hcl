group "g" {
  egress = "none"
  app "a" {
    image = "x"
    command = "sh -c true"
    args = [["x"], null, "ok", "a\u0000b"]
    env = ["A=b"]
    workdir = ["/"]
    capabilities = { A = 1 }
    resources {
      cpu = "much"
      memory = 128
      pids = 1.5
    }
  }
}
