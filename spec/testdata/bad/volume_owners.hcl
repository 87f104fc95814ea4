group "g" {
  egress = "none"
  app "a" { image = "x" }
  volume "user" { owner = "1000" }
  volume "number" { owner = 1000 }
  volume "empty" { owner = "" }
  volume "no-group" { owner = "1000:" }
  volume "large" { owner = "4294967295:0" }
  volume "negative" { owner = "-1:-1" }
  volume "three" { owner = "1:2:3" }
  volume "list" { owner = [1000, 1000] }
  volume "decimal" { mode = 750 }
  volume "octal" { mode = "0758" }
  volume "setuid" { mode = "4755" }
  volume "none" { mode = "0000" }
  volume "letters" { mode = "rwxr-x---" }
}
