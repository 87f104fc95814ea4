group "g" {
  egress = "none"
  app "a" {
    image = "x"
    file "/a" { source = "nope.cfg" }
    file "/b" { source = "/etc/shadow" }
    file "/z" { source = "../../../../dev/zero" }
    file "/c" {}
    file "/d" {
      source = "haproxy.cfg"
      content = "x"
    }
    file "e" { content = "x" }
    file "/proc/f" { content = "x" }
    file "/g" {
      content = "x"
      mode = 0644
    }
    file "/h" {
      content = "x"
      mode = "999"
    }
    file "/i" {
      content = "x"
      mode = "4755"
    }
    file "/i" { content = "x" }
  }
}
