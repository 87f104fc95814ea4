services {}
version = "3"
networks = ["back"]
group "g" {
  app "web" { image = "x" }
  ambassador "proxy" {
    image    = "x"
    cap_add  = ["NET_ADMIN"]
    ports    = ["80:80"]
    init     = true
    networks = ["back"]
    publish "http" {
      published    = 80
      target       = 80
      host_ip      = "192.0.2.1"
      app_protocol = "http"
      mode         = "host"
    }
    upstream "payments" {
      port = 9001
      url  = "https://payments.example.com"
    }
  }
}
