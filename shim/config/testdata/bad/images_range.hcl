images {
  unused = "5m"
  total  = "1MiB"
}
