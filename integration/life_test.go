package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim"
)

// pair is a sealed group of two that write a line and stay; %[2]s is the sidecar's word.
const pair = `
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

// TestLife takes a group through what an operator does to one, on both containerds.
func TestLife(t *testing.T) {
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) { life(t, newMachine(t, server)) })
	}
}

func life(t testing.TB, m *machine) {
	text := fmt.Sprintf(pair, attackImage, "one")
	m.apply("pair.hcl", text)
	first := m.pids("pair")
	if len(first) != 2 {
		t.Fatalf("running: %v", first)
	}
	eventually(t, 3*time.Second, "both have written", func() error {
		return says(m.run("logs", "pair"), "app hello on pair", "one")
	})
	if shims := processes("containerd-shim-runc-v2 "); len(shims) > 0 {
		t.Logf("shims: %v", shims)
	}

	m.apply("pair.hcl", "# a comment changes nothing\n"+text)
	if now := m.pids("pair"); !equal(first, now) {
		t.Errorf("a comment restarted something: %v, then %v", first, now)
	}
	m.apply("pair.hcl", fmt.Sprintf(pair, attackImage, "two"))
	second := m.pids("pair")
	if second["app"] != first["app"] || second["side"] == first["side"] {
		t.Errorf("a change of the sidecar alone: %v, then %v", first, second)
	}

	m.stop()
	m.start()
	if now := m.pids("pair"); !equal(second, now) {
		t.Errorf("the next daemon did not adopt the group: %v, then %v", second, now)
	}

	if err := syscall.Kill(int(second["app"]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "the killed app is back", func() error {
		if now := m.pids("pair"); now["app"] == 0 || now["app"] == second["app"] || now["side"] != second["side"] {
			return fmt.Errorf("%v", now)
		}
		return nil
	})
	m.run("restart", "pair.side")
	if now := m.pids("pair"); now["side"] == second["side"] || now["side"] == 0 {
		t.Errorf("restart did not restart: %v", now)
	}

	if out := m.run("exec", "pair.app", "--", "cat", "/proc/self/cgroup"); !strings.Contains(out, "0::/") {
		t.Errorf("exec said %q", out)
	}
	if said := m.refused(7, "exec", "pair.app", "--", "sh", "-c", "echo gone wrong >&2; exit 7"); !strings.Contains(said, "gone wrong") {
		t.Errorf("exec's stderr: %q", said)
	}

	removeByHand(t, m)
}

// removeByHand deletes the installed file, as an operator without the command would.
func removeByHand(t testing.TB, m *machine) {
	t.Helper()
	if err := os.Remove(filepath.Join(m.groups, "pair.hcl")); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the group of a removed file is gone", func() error {
		if g := m.ps(); len(g) != 0 {
			return fmt.Errorf("%+v", g)
		}
		return nil
	})
	m.checkNoGroup(t)
}

// TestHandPlacedFile: a file that appears in the folder is taken up, and one that breaks keeps its group.
func TestHandPlacedFile(t *testing.T) {
	m := newMachine(t, "")
	path := filepath.Join(m.groups, "pair.hcl")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(fmt.Sprintf(pair, attackImage, "one"))
	eventually(t, 15*time.Second, "the group of a file put there runs", func() error {
		if g := m.ps(); len(g) != 1 || g[0].State != shim.Running {
			return fmt.Errorf("%+v", g)
		}
		return nil
	})
	before := m.pids("pair")
	put(fmt.Sprintf(pair, attackImage, "one")[:80])
	eventually(t, 5*time.Second, "the broken file is told of", func() error {
		if g := m.status("pair"); !strings.Contains(g.Error, "pair.hcl") {
			return fmt.Errorf("status says %q", g.Error)
		}
		return nil
	})
	m.kill()
	m.start()
	if now := m.pids("pair"); !equal(before, now) {
		t.Errorf("a broken file cost the group its life: %v, then %v", before, now)
	}
}

// TestRestartPolicies: what ends stays down or comes back as its policy says, and a group whose apps are done is completed.
func TestRestartPolicies(t *testing.T) {
	m := newMachine(t, "")
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
			m.try("apply", m.write("job.hcl", fmt.Sprintf(job, attackImage, c.exit, c.policy)))
			eventually(t, 15*time.Second, "it ended as it should", func() error {
				g := m.status("job")
				restarts := g.Containers[0].Restarts
				if c.again && restarts > 0 {
					return nil
				}
				if !c.again && restarts == 0 && g.State == shim.Completed {
					return nil
				}
				return fmt.Errorf("%s, %+v", g.State, g.Containers)
			})
			m.run("rm", "job")
		})
	}
}

// TestFollow: logs -f shows a line as it comes.
func TestFollow(t *testing.T) {
	m := newMachine(t, "")
	m.apply("pair.hcl", fmt.Sprintf(pair, attackImage, "one"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	lines := m.follow(ctx, "pair.side")
	m.run("restart", "pair.side")
	for line := range lines {
		if strings.Contains(line, "one leaves") {
			return
		}
	}
	t.Error("the line a container wrote at its end never came")
}

func says(text string, words ...string) error {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return fmt.Errorf("no %q in:\n%s", w, text)
		}
	}
	return nil
}

func equal(a, b map[string]uint32) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
