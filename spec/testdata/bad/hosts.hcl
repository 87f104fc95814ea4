group "shop" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    upstream "payments" {
      listen = 9001
      hosts  = ["payments.example.com", "Payments.Example.COM", "localhost", "db.localhost", "ip6-loopback", "shop", "payments", "db"]
    }
    upstream "db" {
      listen = 9002
      hosts = [
        "payments.example.com",
        "*.example.com",
        "192.0.2.1",
        "2001:db8::1",
        "10.1",
        "example.com.",
        "https://example.com",
        "example.com:443",
        "my_db",
        "-x.example.com",
        "a..b",
        "",
        "${join(".", [for i in range(64) : "abcd"])}.example",
        "${join("", [for i in range(64) : "a"])}.example",
        ["x"],
        null,
        upstream.payments,
      ]
    }
    upstream "text" {
      listen = 9003
      hosts  = "example.com"
    }
  }
}
