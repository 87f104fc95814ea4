group "g" {
  app "a" { image = "x" }
  ambassador "p" {
    image      = "x"
    on_failure = "ignore"
  }
}
