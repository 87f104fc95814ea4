group "g" {
  egress = "none"
  labels = { "sallyport.dev/x" = "y", "a b" = "c", ok = ["x"], long = join("", [for i in range(1000) : "12345"]) }
  app "a" { image = "x" }
}
group "h" {
  egress = "none"
  labels = ["x"]
  app "a" { image = "x" }
}
