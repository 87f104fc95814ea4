network {
  prefix4 = "10.0.0.0/31"
  prefix6 = "fd00::/127"
}
