group "checkout-checkout-checkout-checkout-checkout-x" {
  egress = "none"
  app "a" { image = "x" }
}
