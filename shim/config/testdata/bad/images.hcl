images {
  unused = "30 days"
  total  = "10"
}
