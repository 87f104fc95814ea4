# sound
metrics {
  listen = "0.0.0.0:9469"
  port   = "9469"
}

metric {
  listen = "127.0.0.1:9469"
}

output {
  listen = "127.0.0.1:9469"
}
