folders {
  run = "/run/x" # sound
}

network {
  table = "x
}
