group "g" {
  app "a" {
    image        = "x"
    capabilities = ["NET_RAW", "NET_ADMIN"]
  }
  ambassador "p" {
    image        = "x"
    capabilities = ["NET_RAW", "CAP_NET_ADMIN", "SYS_ADMIN"]
    unsafe { capabilities = ["SYS_ADMIN", "CHOWN", "NET_RWA", "ALL", "LEASE"] }
    unsafe {}
  }
}
group "empty" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    unsafe {}
  }
}
group "privileged" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    unsafe {
      privileged   = true
      capabilities = "NET_RAW"
    }
  }
}
