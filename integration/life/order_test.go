package life

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// queue is a job whose containers all write their names into one file. Each waits for a sign of the
// test before it goes on.
const queue = `
group "queue" {
  ambassador "door" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo door >> /line/names; exec sleep 1000"]
    stop {
      signal   = "SIGKILL"
      pre_stop = ["/bin/sh", "-c", "echo closing; test -d /line && echo closed"]
    }
    probe "ready" {
      exec     = ["test", "-e", "/line/open"]
      interval = "1s"
    }
    mount "line" { path = "/line" }
  }
  init "first" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo first >> /line/names"]
    mount "line" { path = "/line" }
  }
  init "second" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "test -e /line/lucky || { echo no luck; exit 3; }; echo second >> /line/names"]
    mount "line" { path = "/line" }
  }
  sidecar "late" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo late >> /line/names; exec sleep 1000"]
    after   = ["early"]
    stop    { signal = "SIGKILL" }
    mount "line" { path = "/line" }
  }
  sidecar "early" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo early >> /line/names; exec sleep 1000"]
    stop    { signal = "SIGKILL" }
    probe "ready" {
      exec     = ["test", "-e", "/line/early"]
      interval = "1s"
    }
    mount "line" { path = "/line" }
  }
  app "job" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "sleep 0.5; echo job >> /line/names; tr '\\n' ' ' < /line/names; exit 5"]
    restart { policy = "never" }
    mount "line" { path = "/line" }
  }
  volume "line" { persistent = true }
}
`

// queueTime limits each wait.
const queueTime = time.Minute

// TestOrder takes a job through its start order to its end. The next daemon must find it ended too.
func TestOrder(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) { testOrder(t, machine.New(t, server)) })
	}
}

func testOrder(t *testing.T, m *machine.Machine) {
	applied := make(chan error, 1)
	file := m.Write("queue.hcl", fmt.Sprintf(queue, machine.AttackImage))
	go func() {
		_, err := m.Try("apply", file)
		applied <- err
	}()
	await := func(what string, f func(g group.Status) bool) {
		t.Helper()
		machine.Eventually(t, queueTime, what, func() error {
			all := m.PS()
			if len(all) != 1 || !f(all[0]) {
				return fmt.Errorf("%+v", all)
			}
			return nil
		})
	}
	waits := func(who, running string) func(g group.Status) bool {
		return func(g group.Status) bool {
			var up []string
			for _, c := range g.Containers {
				if c.Task == host.TaskRunning {
					up = append(up, c.Name)
				}
			}
			return strings.HasPrefix(g.Waiting, "waits for "+who+": ") && strings.Join(up, " ") == running
		}
	}
	await("the ambassador is waited for", waits("door (ambassador) to be ready", "door"))
	m.Run("exec", "queue.door", "--", "touch", "/line/open")
	await("an init fails, and says so", func(g group.Status) bool {
		c := g.Containers[2]
		return waits("second (init) to end well", "door")(g) && g.Containers[1].Ready && *c.ExitStatus == 3 && c.EndsInARow > 1 &&
			len(c.LastOutput) > 0 && c.LastOutput[0] == "no luck"
	})
	if err := <-applied; err == nil || !strings.Contains(err.Error(), "second (init) ended with status 3") {
		t.Errorf("apply: %v", err)
	}
	m.Run("exec", "queue.door", "--", "touch", "/line/lucky")
	await("a sidecar is waited for", waits("early (sidecar) to be ready", "door early"))
	machine.Eventually(t, queueTime, "a probe is in the middle of its exec", func() error {
		under, err := os.ReadDir(filepath.Join(m.Root, "run", "exec"))
		if err == nil && len(under) == 0 {
			return errors.New("none is")
		}
		return err
	})
	m.Kill()
	killed := time.Now()
	m.Start()
	await("a killed one's next waits too", waits("early (sidecar) to be ready", "door early"))
	// The shim would wait 30 s for the killed daemon to read.
	if took := time.Since(killed); took > machine.BeforeResync {
		t.Errorf("the next daemon knew after %v", took)
	}
	m.Stop() // and containerd with it
	m.Start()
	await("the next daemon waits too", waits("early (sidecar) to be ready", "door early"))
	m.Run("exec", "queue.door", "--", "touch", "/line/early")
	done := func(g group.Status) bool {
		return g.State == group.Completed && *g.Containers[5].ExitStatus == 5 && strings.HasPrefix(g.Error, "job (app) ended with status 5")
	}
	await("the job has ended, and with it all others", done)
	if found := m.Events("queue", group.EventPreStop); len(found) != 1 || found[0].Container != "door" ||
		!strings.Contains(found[0].Text, "ended with status 0") || !strings.HasSuffix(found[0].Text, ": closing closed") {
		t.Errorf("what ran before the door was stopped: %+v", found)
	}
	if up := m.Pids("queue"); len(up) > 0 {
		t.Errorf("still running: %v", up)
	}
	m.Kill()
	m.Start()
	await("it has ended for the next daemon too", done)
	names := strings.TrimSpace(m.Run("logs", "queue.job"))
	if diff := cmp.Diff("door first second early late job", names); diff != "" {
		t.Errorf("the order (-want +got):\n%s", diff)
	}
	m.Try("restart", "queue")
	await("asked for, it runs once more", func(g group.Status) bool {
		return done(g) && strings.Count(m.Run("logs", "queue.job"), "job") > 1
	})
	m.Run("rm", "--volumes", "queue")
}
