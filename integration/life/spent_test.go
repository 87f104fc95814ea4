package life

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// spent is a sealed group with only one container that runs for long. Each writes its name when it
// begins.
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

// TestEndsOutliveRestarts restarts the daemon and containerd. A container that has ended for good
// doesn't run again, and a crash loop keeps its place. After the group was stopped and started all
// containers run once more.
func TestEndsOutliveRestarts(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			m := machine.New(t, server)
			// The apply fails, because an app ends.
			_, _ = m.Try("apply", m.Write("spent.hcl", fmt.Sprintf(spent, machine.AttackImage)))
			loop := awaitLoop(m, 4)
			server := m.Pids("spent")["server"]
			for _, restart := range []struct {
				what string
				do   func()
			}{
				{"containerd is killed", m.KillContainerd},
				{"the daemon and containerd are stopped", func() { m.Stop(); m.Start() }},
				{"the daemon is killed", func() { m.Kill(); m.Start() }},
			} {
				restart.do()
				now := awaitLoop(m, loop.EndsInARow)
				if now.EndsInARow == loop.EndsInARow && now.NextStart.After(loop.NextStart.Add(time.Second)) {
					t.Errorf("%s: it was to start at %s, and is to at %s", restart.what, loop.NextStart, now.NextStart)
				}
				loop = now
				expectOneStart(m, restart.what, "fill", "once", "batch")
				if pid := m.Pids("spent")["server"]; pid != server {
					t.Errorf("%s: the server was process %d, and is %d", restart.what, server, pid)
				}
			}
			if ran := startCounts(m)["loop"]; ran != loop.Restarts+1 {
				t.Errorf("the loop ran %d times, with %d restarts", ran, loop.Restarts)
			}
			m.Run("stop", "spent")
			_, _ = m.Try("start", "spent")
			awaitLoop(m, 1)
			expectOneStart(m, "it was started from nothing", "fill", "once", "batch")
			m.Run("rm", "spent")
		})
	}
}

// awaitLoop waits until the loop has ended so often in a row, and is waiting for its next start.
func awaitLoop(m *machine.Machine, row int) (c group.ContainerStatus) {
	m.T.Helper()
	machine.Eventually(m.T, time.Minute, fmt.Sprintf("an app has ended %d times", row), func() error {
		g := m.Status("spent")
		for _, c = range g.Containers {
			if c.Name == "loop" && c.EndsInARow >= row && c.Task == host.TaskStopped && c.ExitStatus != nil && *c.ExitStatus == 7 && !c.NextStart.IsZero() {
				return nil
			}
		}
		return fmt.Errorf("%+v", g)
	})
	return c
}

// startCounts returns how often each container has started.
func startCounts(m *machine.Machine) map[string]int {
	m.T.Helper()
	times := map[string]int{}
	for name := range strings.FieldsSeq(m.Run("exec", "spent.server", "--", "cat", "/line/names")) {
		times[name]++
	}
	return times
}

func expectOneStart(m *machine.Machine, when string, names ...string) {
	m.T.Helper()
	times := startCounts(m)
	for _, name := range names {
		if times[name] != 1 {
			m.T.Errorf("%s: %s ran %d times", when, name, times[name])
		}
	}
}
