locals { copied = secret.password }

group "g" {
  egress = "none"
  labels = { a = "${secret.password}" }
  secret "password" { file = "/etc/keys/db" }
  secret "none" {}
  secret "two" {
    file       = "/x"
    credential = "x"
  }
  secret "relative" { file = "keys/db" }
  secret "kernel" { file = "/proc/self/environ" }
  secret "shell" { command = ["pass", "show"] }
  secret "empty" { command = [] }
  secret "a/b" { file = "/x" }
  secret "cred" { credential = "a/b" }
  secret "timed" {
    file    = "/x"
    timeout = "1s"
  }
  secret "slow" {
    command = ["/bin/x"]
    timeout = "1h"
  }
  secret "owned" {
    file  = "/x"
    owner = "1000"
  }
  secret "password" { file = "/y" }

  app "a" {
    image = "x:1"
    env = {
      PASSWORD = secret.password
      HASHED   = sha256(secret.password)
    }
    args = ["--password=${secret.password}"]
    secret "pasword" {}
    secret "xyzzy" {}
    secret "password" { file = "/x" }
    secret "two" {
      owner = "a b"
      mode  = 400
    }
    secret "two" { on_change = "sometimes" }
    secret "cred" {
      on_change = "restart"
      reload    = "HUP"
    }
    secret "timed" { reload = "TERM" }
    file "/etc/f1" { content = upper("a ${secret.password}") }
    file "/etc/f2" { content = secret.password == "" ? "a" : "b" }
    file "/etc/f3" { content = "${secret.pasword}" }
    file "/etc/f4" { content = "${secret.password}\u0000" }
    file "/etc/f5" { content = "${secret.password.x}" }
    file "/etc/f6" { source = secret.password }
    file "/etc/f7" { content = "a${secret}" }
    file "/etc/f8" {
      content = "x"
      owner   = "-"
    }
    file "/run/secrets/x" { content = "x" }
    mount "v" {
      path      = "/run"
      read_only = true
    }
  }
  init "i" {
    image = "x:1"
    secret "password" { reload = "HUP" }
    mount "v" { path = "/run/secrets" }
  }
  sidecar "many" {
    for_each = ["a"]
    image    = "x:1"
    file "/f" { content = upper("${each.key} ${secret.password}") }
  }
  volume "v" {}
}
