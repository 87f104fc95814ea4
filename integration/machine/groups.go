package machine

// Pair is a sealed group of two containers that write a line and stay. %[2]s is the line of the
// sidecar.
const Pair = `
group "pair" {
  egress = "none"
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo app $GREETING on $(hostname); exec sleep 1000"]
    env     = { GREETING = "hello" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "trap 'echo %[2]s leaves; exit 0' TERM; echo %[2]s; sleep 1000 & wait"]
  }
}
`
