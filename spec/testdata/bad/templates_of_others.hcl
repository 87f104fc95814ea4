group "g" {
  egress = "none"
  app "a" {
    image = "x"
    args  = ["--log", "${request_time} ${upstream.status}", "$${kept} %%{kept}"]
    env   = { HOME = "${HOME}", PLAIN = request_time }
    file "/etc/nginx.conf" {
      content = <<-EOT
        log_format main '${remote_addr} ${http.referer}';
      EOT
    }
  }
}
