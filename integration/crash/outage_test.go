package crash

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
)

// TestContainerdKilled kills containerd. Groups run on meanwhile, their state is unknown, and
// nothing is done to them. The next containerd has the same processes.
func TestContainerdKilled(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			m := machine.New(t, server)
			m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
			m.Apply("steady.hcl", fmt.Sprintf(steady, machine.AttackImage))
			before := []map[string]uint32{m.Pids("pair"), m.Pids("steady")}
			for range 3 {
				m.KillContainerd()
			}
			for i, group := range []string{"pair", "steady"} {
				m.AwaitRunning(group)
				if now := m.Pids(group); !maps.Equal(before[i], now) {
					t.Errorf("%s was %v, and is %v", group, before[i], now)
				}
			}
			m.Run("restart", "pair.side")
		})
	}
}

// TestShimKilled kills a group's shim. The group comes back by itself, and no packet of a member
// gets out. Other groups have shims of their own, and don't notice.
func TestShimKilled(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			c := newCrashTest(t, server)
			steadys := c.Shims()
			whole := c.brittle(1)
			c.Run(whole.args...)
			before := c.Pids("brittle")
			for _, pid := range c.Shims() {
				if len(steadys) == 1 && pid != steadys[0] {
					unix.Kill(pid, unix.SIGKILL)
				}
			}
			machine.Eventually(t, time.Minute, "the group has other processes, all of them", func() error {
				now := c.Pids("brittle")
				for name, pid := range before {
					if now[name] == 0 || now[name] == pid {
						return fmt.Errorf("%v, then %v", before, now)
					}
				}
				return nil
			})
			machine.Eventually(t, recoveryTime, "the group is as requested", whole.met)
			for _, pid := range before {
				machine.Eventually(t, time.Minute, "the process of before has ended", func() error {
					if err := unix.Kill(int(pid), 0); err != unix.ESRCH {
						return fmt.Errorf("process %d: %v", pid, err)
					}
					return nil
				})
			}
			if now := c.Pids("steady"); !maps.Equal(c.steady, now) {
				t.Errorf("the other group was %v, and is %v", c.steady, now)
			}
			c.Run(c.removal("brittle").args...)
			c.gone("after its shim was killed", "brittle")
			c.checkCapture("after its shim was killed")
		})
	}
}

// TestRuncMissing takes the runtime away. Status reports that nothing can be started, and what runs
// keeps running. When runc is back, the group is restored without help.
func TestRuncMissing(t *testing.T) {
	m := machine.NewIdle(t, "")
	m.Server = filepath.Join(m.Root, "bin")
	if err := os.Mkdir(m.Server, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "runc"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(m.Server, name)); err != nil {
			t.Fatal(err)
		}
	}
	m.Start("PATH=" + m.Server)
	m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
	before := m.Pids("pair")

	runc, away := filepath.Join(m.Server, "runc"), filepath.Join(m.Server, "away")
	if err := os.Rename(runc, away); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(int(before["app"]), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	machine.Eventually(t, time.Minute, "status names runc", func() error {
		if g := m.Status("pair"); !strings.Contains(g.Error, "runc") || !strings.Contains(g.Hint, "install runc") {
			return fmt.Errorf("%s: %q", g.State, g.Error)
		}
		return nil
	})
	t.Logf("without runc: %s", m.Status("pair").Error)
	if now := m.Pids("pair"); now["side"] != before["side"] {
		t.Errorf("the sidecar was %d, and is %d", before["side"], now["side"])
	}
	if err := os.Rename(away, runc); err != nil {
		t.Fatal(err)
	}
	m.AwaitRunning("pair")
	if now := m.Pids("pair"); now["app"] == before["app"] || now["side"] != before["side"] {
		t.Errorf("running: %v, then %v", before, now)
	}
}

// TestRunFolderEmptied deletes every file of the run folder, as a careless script does, under a
// daemon that runs and between two. The daemon answers again within seconds, each later one finds
// the containerd that runs, and no container is restarted.
func TestRunFolderEmptied(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			m := machine.New(t, server)
			m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
			before := m.Pids("pair")
			// What is mounted there stays: a script can't delete it.
			empty := func() {
				t.Helper()
				_ = exec.Command("find", filepath.Join(m.Root, "run"), "-xdev", "-mindepth", "1", "!", "-type", "d", "-delete").Run()
				if left, _ := filepath.Glob(filepath.Join(m.Root, "run", "*.sock")); len(left) > 0 {
					t.Fatalf("left: %q", left)
				}
			}
			same := func(when string) {
				t.Helper()
				machine.Eventually(t, time.Minute, when+": the daemon answers, and the same processes run", func() error {
					if _, err := m.Try("ps"); err != nil {
						return err
					}
					if now := m.Pids("pair"); !maps.Equal(before, now) {
						return fmt.Errorf("the group was %v, and is %v", before, now)
					}
					return nil
				})
			}
			empty()
			same("while the daemon runs")
			m.Apply("steady.hcl", fmt.Sprintf(steady, machine.AttackImage))
			for _, end := range []struct {
				name string
				do   func()
			}{{"stopped", m.Stop}, {"killed", m.Kill}} {
				end.do()
				empty()
				m.Start()
				same(end.name)
				m.AwaitRunning("pair", "steady")
				m.Run("exec", "pair.side", "/bin/true")
			}
			// Those containers end with that containerd. Another comes up, and they with it.
			steadys := m.Pids("steady")
			m.KillContainerd()
			machine.Eventually(t, time.Minute, "the groups have other processes", func() error {
				for group, before := range map[string]map[string]uint32{"pair": before, "steady": steadys} {
					now := m.Pids(group)
					for name, pid := range before {
						if now[name] == 0 || now[name] == pid {
							return fmt.Errorf("%s was %v, and is %v", group, before, now)
						}
					}
				}
				return nil
			})
			m.AwaitRunning("pair", "steady")
		})
	}
}
