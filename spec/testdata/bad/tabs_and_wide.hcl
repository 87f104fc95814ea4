group "g" {
	egress = "none"
	app "a" {
		image = "x"
		env = { NAME = "größe 日本語", "ünï" = "x" }
	}
}
