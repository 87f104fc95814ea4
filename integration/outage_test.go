package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
)

// TestContainerdKilled: groups run on while containerd is away, their state is unknown and nothing is done to them; and it is
// the same processes that the next containerd has.
func TestContainerdKilled(t *testing.T) {
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, server)
			m.apply("pair.hcl", fmt.Sprintf(pair, attackImage, "one"))
			m.apply("steady.hcl", fmt.Sprintf(steady, attackImage))
			before := []map[string]uint32{m.pids("pair"), m.pids("steady")}
			for range 3 {
				m.killContainerd()
			}
			for i, group := range []string{"pair", "steady"} {
				m.awaitRunning(group)
				if now := m.pids(group); !equal(before[i], now) {
					t.Errorf("%s was %v, and is %v", group, before[i], now)
				}
			}
			m.run("restart", "pair.side")
		})
	}
}

// killContainerd ends the daemon's containerd and waits for the next.
func (m *machine) killContainerd() {
	m.t.Helper()
	pid := m.containerd()
	unix.Kill(pid, unix.SIGKILL)
	eventually(m.t, 30*time.Second, "there is a containerd again", func() error {
		if now := m.containerd(); now == 0 || now == pid {
			return fmt.Errorf("process %d", now)
		}
		return nil
	})
}

// containerd is the daemon's, 0 if there is none.
func (m *machine) containerd() (pid int) {
	for _, p := range processes(filepath.Join(m.root, "run", "containerd")) {
		if strings.Contains(p, "containerd --config") {
			fmt.Sscanf(p, "process %d", &pid)
		}
	}
	return pid
}

// shims are the shims' processes of this instance.
func (m *machine) shims() (pids []int) {
	for _, p := range processes(m.root) {
		var pid int
		if strings.Contains(p, "containerd-shim-runc-v2 ") {
			fmt.Sscanf(p, "process %d", &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

func (m *machine) awaitRunning(groups ...string) {
	m.t.Helper()
	for _, name := range groups {
		eventually(m.t, time.Minute, name+" runs", func() error {
			g := m.status(name)
			if g.State != shim.Running || g.Error != "" {
				return fmt.Errorf("%s: %s", g.State, g.Error)
			}
			return nil
		})
	}
}

// TestShimKilled: a group whose shim is killed comes back by itself, with no member's packet outside, and the others, which have
// shims of their own, notice nothing.
func TestShimKilled(t *testing.T) {
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) {
			c := newCrasher(t, server)
			steadys := c.shims()
			whole := c.brittle(1)
			c.run(whole.args...)
			before := c.pids("brittle")
			for _, pid := range c.shims() {
				if len(steadys) == 1 && pid != steadys[0] {
					unix.Kill(pid, unix.SIGKILL)
				}
			}
			eventually(t, time.Minute, "the group has other processes, all of them", func() error {
				now := c.pids("brittle")
				for name, pid := range before {
					if now[name] == 0 || now[name] == pid {
						return fmt.Errorf("%v, then %v", before, now)
					}
				}
				return nil
			})
			eventually(t, crashTime, "the group is as it was asked for", whole.met)
			for _, pid := range before {
				eventually(t, 20*time.Second, "the process of before has ended", func() error {
					if err := unix.Kill(int(pid), 0); err != unix.ESRCH {
						return fmt.Errorf("process %d: %v", pid, err)
					}
					return nil
				})
			}
			if now := c.pids("steady"); !equal(c.steady, now) {
				t.Errorf("the other group was %v, and is %v", c.steady, now)
			}
			c.run(c.removal("brittle").args...)
			c.gone("after its shim was killed", "brittle")
			c.judge("after its shim was killed")
		})
	}
}

// TestRuncMissing: without the runtime nothing can be started, which is said, and what runs runs on; when it is back, so is the
// group, with nobody's help.
func TestRuncMissing(t *testing.T) {
	m := newIdleMachine(t, "")
	m.server = filepath.Join(m.root, "bin")
	if err := os.Mkdir(m.server, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "runc"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(m.server, name)); err != nil {
			t.Fatal(err)
		}
	}
	m.start("PATH=" + m.server)
	m.apply("pair.hcl", fmt.Sprintf(pair, attackImage, "one"))
	before := m.pids("pair")

	runc, away := filepath.Join(m.server, "runc"), filepath.Join(m.server, "away")
	if err := os.Rename(runc, away); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(int(before["app"]), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 40*time.Second, "status says what is missing", func() error {
		if g := m.status("pair"); !strings.Contains(g.Error, "runc") || !strings.Contains(g.Hint, "install runc") {
			return fmt.Errorf("%s: %q", g.State, g.Error)
		}
		return nil
	})
	t.Logf("without runc: %s", m.status("pair").Error)
	if now := m.pids("pair"); now["side"] != before["side"] {
		t.Errorf("the sidecar was %d, and is %d", before["side"], now["side"])
	}
	if err := os.Rename(away, runc); err != nil {
		t.Fatal(err)
	}
	m.awaitRunning("pair")
	if now := m.pids("pair"); now["app"] == before["app"] || now["side"] != before["side"] {
		t.Errorf("running: %v, then %v", before, now)
	}
}
