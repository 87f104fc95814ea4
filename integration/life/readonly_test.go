package life

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

// fixed is a sealed group whose container has a root file system that is read-only. Its user is not
// root. Its probe needs a file in memory, which the program makes at each start.
const fixed = `
group "fixed" {
  egress = "none"
  app "web" {
    image     = "%s"
    user      = "1000:1000"
    read_only = true
    command   = ["/bin/sh", "-c", "test ! -e /run/web/ready && echo yes > /run/web/ready && exec sleep 1000"]
    stop { signal = "SIGKILL" }
    tmpfs "/run/web" {
      size  = "64KiB"
      owner = "1000:1000"
    }
    mount "data" { path = "/run/web/data" }
    file "/run/web/conf" { content = "placed" }
    probe "ready" {
      exec     = ["/bin/grep", "yes", "/run/web/ready"]
      interval = "1s"
    }
  }
  volume "data" { owner = "1000:1000" }
}
`

// TestReadOnly checks that a container that can't write to its root file system is ready, writes
// where the file lets it, and finds its memory empty after a restart.
func TestReadOnly(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("fixed.hcl", fmt.Sprintf(fixed, machine.Image(t, "busybox")))
	for _, path := range []string{"/x", "/etc/hosts", "/etc/resolv.conf", "/run/web/conf"} {
		if out := m.Fails(1, "exec", "fixed.web", "--", "/bin/touch", path); !strings.Contains(out, "Read-only file system") {
			t.Errorf("touch %s: %s", path, out)
		}
	}
	m.Run("exec", "fixed.web", "--", "/bin/touch", "/run/web/old", "/run/web/data/kept")
	before := m.Pids("fixed")["web"]
	m.Run("restart", "fixed.web")
	if now := m.Pids("fixed")["web"]; now == before {
		t.Error("it was not started again")
	}
	const want = "/run/web:\nconf\ndata\nready\n\n/run/web/data:\nkept\n"
	if got := m.Run("exec", "fixed.web", "--", "/bin/ls", "-R", "/run/web"); got != want {
		t.Errorf("after a restart it has\n%s", got)
	}
	m.Run("rm", "fixed")
	m.CheckNoGroup(t)
}
