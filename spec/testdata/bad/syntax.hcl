variable "x" { defautl = 1 }
group "g" {
  app "a" {
    image = "unclosed
  }
}
