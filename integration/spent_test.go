package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim"
)

// spent is a sealed group of which only one runs for long, and each writes his name when he begins.
const spent = `
group "spent" {
  egress = "none"
  init "fill" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo fill >> /line/names"]
    mount "line" { path = "/line" }
  }
  sidecar "once" {
    image      = "%[1]s"
    command    = ["/bin/sh", "-c", "echo once >> /line/names; exit 3"]
    on_failure = "ignore"
    restart { policy = "never" }
    mount "line" { path = "/line" }
  }
  app "batch" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo batch >> /line/names"]
    restart { policy = "on-failure" }
    mount "line" { path = "/line" }
  }
  app "loop" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo loop >> /line/names; exit 7"]
    mount "line" { path = "/line" }
  }
  app "server" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "exec sleep 1000"]
    stop    { signal = "SIGKILL" }
    mount "line" { path = "/line" }
  }
  volume "line" { size = "1MiB" }
}
`

// TestEndsOutliveRestarts: what has ended for good doesn't run again, and a crash loop goes on where it was, whatever of daemon and
// containerd is restarted; after a start from nothing all run once more.
func TestEndsOutliveRestarts(t *testing.T) {
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, server)
			_, _ = m.try("apply", m.write("spent.hcl", fmt.Sprintf(spent, attackImage))) // it says that the app ends
			loop := m.looping(4)
			server := m.pids("spent")["server"]
			for _, restart := range []struct {
				what string
				do   func()
			}{
				{"containerd is killed", m.killContainerd},
				{"the daemon and containerd are stopped", func() { m.stop(); m.start() }},
				{"the daemon is killed", func() { m.kill(); m.start() }},
			} {
				restart.do()
				now := m.looping(loop.Row)
				if now.Row == loop.Row && now.NextStart.After(loop.NextStart.Add(time.Second)) {
					t.Errorf("%s: it was to start at %s, and is to at %s", restart.what, loop.NextStart, now.NextStart)
				}
				loop = now
				m.ranOnce(restart.what, "fill", "once", "batch")
				if pid := m.pids("spent")["server"]; pid != server {
					t.Errorf("%s: the server was process %d, and is %d", restart.what, server, pid)
				}
			}
			if ran := m.ran()["loop"]; ran != loop.Restarts+1 {
				t.Errorf("the loop ran %d times, with %d restarts", ran, loop.Restarts)
			}
			m.run("stop", "spent")
			_, _ = m.try("start", "spent")
			m.looping(1)
			m.ranOnce("it was started from nothing", "fill", "once", "batch")
			m.run("rm", "spent")
		})
	}
}

// looping waits until the loop has ended so often in a row, and waits to be started again.
func (m *machine) looping(row int) (c shim.ContainerStatus) {
	m.t.Helper()
	eventually(m.t, time.Minute, fmt.Sprintf("an app has ended %d times", row), func() error {
		g := m.status("spent")
		for _, c = range g.Containers {
			if c.Name == "loop" && c.Row >= row && c.Task == shim.TaskStopped && c.ExitStatus != nil && *c.ExitStatus == 7 && !c.NextStart.IsZero() {
				return nil
			}
		}
		return fmt.Errorf("%+v", g)
	})
	return c
}

// ran counts how often each has begun.
func (m *machine) ran() map[string]int {
	m.t.Helper()
	times := map[string]int{}
	for name := range strings.FieldsSeq(m.run("exec", "spent.server", "--", "cat", "/line/names")) {
		times[name]++
	}
	return times
}

func (m *machine) ranOnce(when string, names ...string) {
	m.t.Helper()
	times := m.ran()
	for _, name := range names {
		if times[name] != 1 {
			m.t.Errorf("%s: %s ran %d times", when, name, times[name])
		}
	}
}
