group "g" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    publish "a" { host = "100-90" }
    publish "b" { host = "0-5" }
    publish "c" { host = "10-x" }
    publish "d" { host = "1000-1512" }
    publish "e" {
      host = "2000-2009"
      port = "3000-3004"
    }
    publish "f" {
      host = 4000
      port = "4000-4009"
    }
    publish "g" {
      host = "5000-5009"
      port = 65530
    }
    publish "h" { host = "2005-2006" }
    publish "i" {
      host = 5009
      port = 1
    }
    publish "j" { host = "6000-6299" }
    publish "k" { host = "7000-7299" }
    probe "ready" { tcp = { port = "j" } }
  }
}
