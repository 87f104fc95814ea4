package life

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// TestLife takes a group through the commands of an operator, on both containerds.
func TestLife(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) { testLife(t, machine.New(t, server)) })
	}
}

func testLife(t testing.TB, m *machine.Machine) {
	text := fmt.Sprintf(machine.Pair, machine.AttackImage, "one")
	m.Apply("pair.hcl", text)
	first := m.Pids("pair")
	if len(first) != 2 {
		t.Fatalf("running: %v", first)
	}
	machine.Eventually(t, time.Minute, "both have written", func() error {
		return machine.Contains(m.Run("logs", "pair"), "app hello on pair", "one")
	})
	if shims := machine.Processes("containerd-shim-runc-v2 "); len(shims) > 0 {
		t.Logf("shims: %v", shims)
	}

	m.Apply("pair.hcl", "# a comment changes nothing\n"+text)
	if now := m.Pids("pair"); !maps.Equal(first, now) {
		t.Errorf("a comment restarted something: %v, then %v", first, now)
	}
	m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "two"))
	second := m.Pids("pair")
	if second["app"] != first["app"] || second["side"] == first["side"] {
		t.Errorf("a change of the sidecar alone: %v, then %v", first, second)
	}

	m.Stop()
	m.Start()
	if now := m.Pids("pair"); !maps.Equal(second, now) {
		t.Errorf("the next daemon did not adopt the group: %v, then %v", second, now)
	}

	if err := syscall.Kill(int(second["app"]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	machine.Eventually(t, machine.BeforeResync, "the killed app is back", func() error {
		if now := m.Pids("pair"); now["app"] == 0 || now["app"] == second["app"] || now["side"] != second["side"] {
			return fmt.Errorf("%v", now)
		}
		return nil
	})
	m.Run("restart", "pair.side")
	if now := m.Pids("pair"); now["side"] == second["side"] || now["side"] == 0 {
		t.Errorf("restart did not restart: %v", now)
	}

	if out := m.Run("exec", "pair.app", "--", "cat", "/proc/self/cgroup"); !strings.Contains(out, "0::/") {
		t.Errorf("exec said %q", out)
	}
	if said := m.Fails(7, "exec", "pair.app", "--", "sh", "-c", "echo gone wrong >&2; exit 7"); !strings.Contains(said, "gone wrong") {
		t.Errorf("exec's stderr: %q", said)
	}

	removeByHand(t, m)
}

// removeByHand deletes the installed file, as an operator without the command would.
func removeByHand(t testing.TB, m *machine.Machine) {
	t.Helper()
	if err := os.Remove(filepath.Join(m.Groups, "pair.hcl")); err != nil {
		t.Fatal(err)
	}
	machine.Eventually(t, machine.BeforeResync, "the group of a removed file is gone", func() error {
		if g := m.PS(); len(g) != 0 {
			return fmt.Errorf("%+v", g)
		}
		return nil
	})
	m.CheckNoGroup(t)
}

// TestHandPlacedFile checks that a file that appears in the folder is applied, and that one that
// becomes invalid keeps its group.
func TestHandPlacedFile(t *testing.T) {
	m := machine.New(t, "")
	path := filepath.Join(m.Groups, "pair.hcl")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
	machine.Eventually(t, machine.BeforeResync, "the group of a file put there runs", func() error {
		if g := m.PS(); len(g) != 1 || g[0].State != group.Running {
			return fmt.Errorf("%+v", g)
		}
		return nil
	})
	before := m.Pids("pair")
	put(fmt.Sprintf(machine.Pair, machine.AttackImage, "one")[:80])
	machine.Eventually(t, machine.BeforeResync, "status reports the broken file", func() error {
		if g := m.Status("pair"); !strings.Contains(g.Error, "pair.hcl") {
			return fmt.Errorf("status says %q", g.Error)
		}
		return nil
	})
	m.Kill()
	m.Start()
	if now := m.Pids("pair"); !maps.Equal(before, now) {
		t.Errorf("a broken file cost the group its life: %v, then %v", before, now)
	}
}

// TestRestartPolicies checks that a container that ended stays down or comes back by its policy,
// and that a group whose apps are done is completed.
func TestRestartPolicies(t *testing.T) {
	m := machine.New(t, "")
	const job = `
group "job" {
  egress = "none"
  app "done" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "sleep 0.3; exit %[2]d"]
    restart { policy = "%[3]s" }
  }
}
`
	for _, c := range []struct {
		policy string
		exit   int
		again  bool
	}{{"never", 1, false}, {"never", 0, false}, {"on-failure", 0, false}, {"on-failure", 1, true}, {"always", 0, true}} {
		t.Run(fmt.Sprintf("%s after %d", c.policy, c.exit), func(t *testing.T) {
			m.Try("apply", m.Write("job.hcl", fmt.Sprintf(job, machine.AttackImage, c.exit, c.policy)))
			machine.Eventually(t, time.Minute, "it ended as it should", func() error {
				g := m.Status("job")
				restarts := g.Containers[0].Restarts
				if c.again && restarts > 0 {
					return nil
				}
				if !c.again && restarts == 0 && g.State == group.Completed {
					return nil
				}
				return fmt.Errorf("%s, %+v", g.State, g.Containers)
			})
			m.Run("rm", "job")
		})
	}
}

// TestFollow checks that logs -f shows a line when it is written.
func TestFollow(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lines := followLogs(ctx, m, "pair.side")
	m.Run("restart", "pair.side")
	for line := range lines {
		if strings.Contains(line, "one leaves") {
			return
		}
	}
	t.Error("the line a container wrote at its end never came")
}

// followLogs runs logs -f and returns its lines until ctx ends.
func followLogs(ctx context.Context, m *machine.Machine, target string) <-chan string {
	m.T.Helper()
	cmd := exec.CommandContext(ctx, m.Binary, "--root", m.Root, "logs", "-f", target)
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.T.Fatal(err)
	}
	if err := machine.StartIn(m.Host, cmd); err != nil {
		m.T.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		defer cmd.Wait()
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
			}
		}
	}()
	return lines
}
