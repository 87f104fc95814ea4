package life

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// careful is a group whose update must be ready in time. %[2]s is the script of its app, %[3]s the
// time.
const careful = `
group "careful" {
  egress = "none"
  update {
    health_timeout = "%[3]s"
    auto_revert    = true
  }
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "%[2]s"]
    probe "ready" {
      exec     = ["/bin/sh", "-c", "test -e /data/ready"]
      interval = "1s"
    }
    mount "data" { path = "/data" }
    stop { timeout = "1s" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { timeout = "1s" }
  }
  volume "data" { persistent = true }
}
`

func becomesReady() string {
	return fmt.Sprintf(careful, machine.AttackImage, "touch /data/ready; exec sleep 1000", "1m")
}

func neverReady() string {
	return fmt.Sprintf(careful, machine.AttackImage, "rm /data/ready; exec sleep 1000", "5s")
}

// TestGenerations takes a group through updates that are reverted, rolled back, and interrupted by
// the end of the daemon.
func TestGenerations(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("careful.hcl", becomesReady()) // until it has proved itself
	side := m.Pids("careful")["side"]
	installed := filepath.Join(m.Groups, "careful.hcl")
	goodAgain := func(generation int) {
		t.Helper()
		machine.Eventually(t, time.Minute, "the generation before is put back", func() error {
			g := m.Status("careful")
			if g.State != group.Running || g.Generation != generation || !strings.Contains(g.Error, "was taken back: not ready within 5s") || g.Hint == "" {
				return fmt.Errorf("%s, generation %d, error %q", g.State, g.Generation, g.Error)
			}
			return nil
		})
		if text, err := os.ReadFile(installed); err != nil || string(text) != becomesReady() {
			t.Errorf("the installed file is not the one before: %v\n%s", err, text)
		}
		if now := m.Pids("careful"); now["side"] != side {
			t.Errorf("the sidecar, in which nothing changed, was replaced: %d, then %d", side, now["side"])
		}
	}

	said := m.Fails(1, "apply", "--settle", "1s", m.Write("careful.hcl", neverReady())) // it may be ready before it isn't
	if err := machine.Contains(said, "generation 2 was taken back: not ready within 5s", " history careful --file 2\""); err != nil {
		t.Error(err)
	}
	goodAgain(3)
	if text := m.Run("history", "careful", "--file", "2"); text != neverReady() {
		t.Errorf("history has of generation 2:\n%s", text)
	}

	// The daemon is killed while a change made by hand has not yet proved itself.
	if err := os.WriteFile(installed, []byte(neverReady()), 0o600); err != nil {
		t.Fatal(err)
	}
	machine.Eventually(t, time.Minute, "the change is taken up", func() error {
		if g := m.Status("careful"); g.Generation != 4 || g.TrialEnds.IsZero() {
			return fmt.Errorf("generation %d", g.Generation)
		}
		return nil
	})
	m.Kill()
	m.Start()
	goodAgain(5)

	m.Apply("careful.hcl", becomesReady()+"# another remark\n")
	if g := m.Status("careful"); g.Error != "" {
		t.Errorf("what runs was applied and status still says %q", g.Error)
	}
	m.Apply("careful.hcl", strings.Replace(becomesReady(), "1000", "2000", 1))
	m.Run("rollback", "careful")
	if g := m.Status("careful"); g.Generation != 7 || g.Error != "" {
		t.Errorf("after the rollback: generation %d, error %q", g.Generation, g.Error)
	}
	if out := m.Run("exec", "careful.app", "--", "cat", "/proc/1/cmdline"); !strings.Contains(out, "1000") {
		t.Errorf("after the rollback the app is %q", out)
	}

	// An app that keeps ending has an hour, and is given up long before that.
	failing := strings.NewReplacer(`"1m"`, `"1h"`, "touch /data/ready; exec sleep 1000", "echo no settings; exit 3").Replace(becomesReady())
	said = m.Fails(1, "apply", "--settle", "1s", m.Write("careful.hcl", failing))
	words := []string{"careful: app (app) ended with status 3; its last output: no settings", "generation 8 was taken back: app (app) ended 3 times, the last time with status 3"}
	if err := machine.Contains(said, words...); err != nil {
		t.Error(err)
	}
	if g := m.Status("careful"); g.State != group.Running || g.Generation != 9 || m.Pids("careful")["side"] != side {
		t.Errorf("after an app that kept ending: %s, generation %d, error %q", g.State, g.Generation, g.Error)
	}
}

// TestStopStays checks that a stopped group stays down after the daemon's end too, and keeps its
// volumes until they are deleted.
func TestStopStays(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("careful.hcl", becomesReady())
	data := filepath.Join(m.Root, "state", "volumes", "careful", "data", "ready")
	down := func() {
		t.Helper()
		if g := m.Status("careful"); g.State != group.Stopped || len(m.Pids("careful")) > 0 {
			t.Errorf("it is %s: %v", g.State, m.Pids("careful"))
		}
		if _, err := os.Stat(filepath.Join(m.Root, "run", "netns", "careful")); err == nil {
			t.Error("its namespace is still there")
		}
	}
	m.Run("stop", "careful")
	down()
	m.Kill()
	m.Start()
	down()
	m.Run("start", "careful")
	if pids := m.Pids("careful"); len(pids) != 2 {
		t.Errorf("started again: %v", pids)
	}
	m.Run("rm", "careful")
	if _, err := os.Stat(data); err != nil {
		t.Errorf("its volume is gone with it: %v", err)
	}
	m.Run("rm", "--volumes", "careful")
	if _, err := os.Stat(filepath.Dir(filepath.Dir(data))); err == nil {
		t.Error("rm --volumes left something")
	}
	if said := m.Fails(1, "rm", "--volumes", "careful"); !strings.Contains(said, "no such group") {
		t.Errorf("once more: %s", said)
	}
}

// TestWaitForAJob checks that wait exits with the status of the job.
func TestWaitForAJob(t *testing.T) {
	const job = `
group "job" {
  egress = "none"
  app "app" {
    image   = "%s"
    command = ["/bin/sh", "-c", "sleep 2; exit 5"]
    restart { policy = "never" }
  }
}
`
	m := machine.New(t, "")
	m.Apply("job.hcl", fmt.Sprintf(job, machine.AttackImage))
	m.Fails(5, "wait", "job")
	m.Kill()
	m.Start()
	m.Fails(5, "wait", "job", "--timeout", "10s")
	m.Apply("careful.hcl", becomesReady())
	if said := m.Fails(125, "wait", "careful"); !strings.Contains(said, "group careful is no job") {
		t.Errorf("a group that is no job: %s", said)
	}
}
