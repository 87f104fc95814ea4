package life

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

// placed is a group whose app and sidecar may change. The second argument is the app's word, the
// third are blocks of more containers.
const placed = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo %[2]s; exec sleep 1000"]
    stop { signal = "SIGKILL" }
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
  }
  %[3]s
}
`

const placedSide = `
  sidecar "side" {
    image   = "%s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
  }
`

// inode returns the kernel's number for a cgroup of the instance, or 0 if there is none.
func inode(m *machine.Machine, path string) uint64 {
	m.T.Helper()
	info, err := os.Stat(m.CgroupV2(path))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		m.T.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// TestContainerCgroups takes containers through restarts, replacements, and changes of the
// definition and of the daemon. A rule that names one by its cgroup stays right.
func TestContainerCgroups(t *testing.T) {
	m := machine.New(t, "")
	side := fmt.Sprintf(placedSide, machine.AttackImage)
	m.Apply("g.hcl", fmt.Sprintf(placed, machine.AttackImage, "one", side))
	all := map[string]string{"app": "g/members/app", "side": "g/members/side", "amb": "g/ambassador/amb"}
	first := map[string]uint64{}
	for name, path := range all {
		if first[name] = inode(m, path); first[name] == 0 {
			t.Fatalf("%s has no cgroup", name)
		}
	}
	same := func(after string, names ...string) {
		t.Helper()
		pids := m.Pids("g")
		for _, name := range names {
			if now := inode(m, all[name]); now != first[name] {
				t.Errorf("after %s the cgroup of %s is %d, and was %d", after, name, now, first[name])
			}
			inside, err := os.ReadFile(filepath.Join(m.CgroupV2(all[name]+"/leaf"), "cgroup.procs"))
			if got := strings.TrimSpace(string(inside)); err != nil || got != fmt.Sprint(pids[name]) {
				t.Errorf("after %s process %q is in the cgroup of %s, %v; want %d", after, got, name, err, pids[name])
			}
		}
	}
	same("the start", "app", "side", "amb")
	m.Run("restart", "g.amb")
	m.Run("restart", "g.side")
	same("a restart", "app", "side", "amb")
	m.Apply("g.hcl", fmt.Sprintf(placed, machine.AttackImage, "two", side))
	same("a replacement", "app", "side", "amb")
	before := m.Pids("g")["app"]
	if err := syscall.Kill(int(before), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	machine.Eventually(t, machine.BeforeResync, "the killed app is back", func() error {
		if now := m.Pids("g")["app"]; now == 0 || now == before {
			return fmt.Errorf("its process is %d", now)
		}
		return nil
	})
	same("a kill", "app", "side", "amb")
	m.Kill()
	m.Start()
	m.AwaitRunning("g")
	same("the daemon's death", "app", "side", "amb")

	m.Apply("g.hcl", fmt.Sprintf(placed, machine.AttackImage, "two", ""))
	same("another definition", "app", "amb")
	for _, root := range m.CgroupRoots() {
		if _, err := os.Stat(filepath.Join(root, all["side"])); err == nil {
			t.Errorf("the cgroup of a container that is in no definition is left in %s", root)
		}
	}
	m.Apply("g.hcl", fmt.Sprintf(placed, machine.AttackImage, "two", side))
	if again := inode(m, all["side"]); again == 0 || again == first["side"] {
		t.Errorf("the cgroup of the sidecar was %d, and is %d after it came back", first["side"], again)
	}
	if said := m.Run("events", "g"); strings.Contains(said, "changed by others") {
		t.Errorf("our own changes were taken for those of others:\n%s", said)
	}
	m.Run("rm", "g")
	m.CheckNoGroup(t)
}
