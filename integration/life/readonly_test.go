package life

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/host"
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
// where the file lets it, and finds its memory empty after a restart. df shows what it takes.
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

	image := machine.Image(t, "busybox")
	var usage host.Usage
	if err := json.Unmarshal([]byte(m.Run("df", "--json", "fixed")), &usage); err != nil {
		t.Fatal(err)
	}
	kinds := map[host.ConsumerKind]int{}
	for _, c := range usage.Consumers {
		kinds[c.Kind]++
		if c.Kind == host.LayerConsumer && c.Bytes > 256<<10 {
			t.Errorf("a layer that nothing can be written to has %d bytes", c.Bytes)
		}
	}
	if kinds[host.LayerConsumer] != 1 || kinds[host.OutputConsumer] != 1 || kinds[host.MemoryConsumer] != 1 || len(usage.Unknown) > 0 ||
		len(usage.Images.All) != 1 || usage.Images.All[0].Names[0] != image || usage.Images.All[0].Own < 256<<10 {
		t.Errorf("df has %+v", usage)
	}
	if err := machine.Contains(m.Run("df"), "fixed", image, "SALLYPORT", "images"); err != nil {
		t.Error(err)
	}
	m.Run("rm", "fixed")
	m.CheckNoGroup(t)
}
