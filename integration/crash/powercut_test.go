package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
)

// TestPowerCut cuts the power. The disk is all that is left of the machine, and no registry
// answers. The next daemon starts what ran, in order and with the rules in place, from what is on
// the disk. What was stopped stays stopped.
func TestPowerCut(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			m := machine.New(t, server)
			watch := machine.NewWatch(t, m.Host)
			archive := filepath.Join(m.Root, "image.tar")
			if err := copyFile(archive, strings.TrimPrefix(machine.AttackImage, "oci-archive:")); err != nil {
				t.Fatal(err)
			}
			image := "oci-archive:" + archive
			m.Apply("brittle.hcl", fmt.Sprintf(brittle, image, "one", 8080, "203.0.113.1", "1MiB", "old"))
			m.Apply("steady.hcl", fmt.Sprintf(steady, image))
			m.Run("stop", "steady")
			if err := os.Remove(archive); err != nil {
				t.Fatal(err)
			}
			cutPower(m)
			watch.Verdict()

			began := time.Now()
			m.Start()
			m.AwaitRunning("brittle")
			t.Logf("the group runs %v after the daemon was started", time.Since(began).Round(time.Millisecond))
			if running := m.Pids("steady"); len(running) != 0 {
				t.Errorf("what was stopped runs: %v", running)
			}
			machine.Eventually(t, time.Minute, "the ambassador is at its door", func() error {
				if watch.Ambassador(0) == 0 {
					return errors.New("it isn't")
				}
				return nil
			})
			if _, members, first := watch.Verdict(); members > 0 {
				t.Errorf("%d packets of members got out: %v", members, first)
			}
		})
	}
}

// cutPower removes everything that is not on the machine's disk: processes, mounts, cgroups, links,
// rules, and all below /run.
func cutPower(m *machine.Machine) {
	m.T.Helper()
	m.Kill()
	machine.Eventually(m.T, time.Minute, "no process is left", func() error {
		left := append(machine.Processes(m.Root), m.ProcessesInCgroups()...)
		for _, p := range left {
			var pid int
			fmt.Sscanf(p, "process %d", &pid)
			unix.Kill(pid, unix.SIGKILL)
		}
		if len(left) > 0 {
			return errors.New(strings.Join(left, "\n"))
		}
		return nil
	})
	machine.Eventually(m.T, time.Minute, "no mount is left", func() error {
		for _, line := range machine.Mentions("/proc/self/mountinfo", m.Root) {
			if err := unix.Unmount(strings.Fields(line)[5], unix.MNT_DETACH); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
		}
		return nil
	})
	dropCgroups(m)
	for _, dir := range []string{filepath.Join(m.Root, "run"), filepath.Join("/run/containerd/runc", m.ContainerdNamespace())} {
		if err := os.RemoveAll(dir); err != nil {
			m.T.Fatal(err)
		}
	}
	machine.DropTables(m.T, m.Host)
	machine.MustInNetns(m.T, m.Host, func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, "sp-") {
				err = errors.Join(err, netlink.LinkDel(l))
			}
		}
		return err
	})
}

// dropCgroups removes the instance's cgroups, the deepest first.
func dropCgroups(m *machine.Machine) {
	m.T.Helper()
	machine.Eventually(m.T, time.Minute, "no cgroup is left", func() error {
		var errs []error
		for _, root := range m.CgroupRoots() {
			var dirs []string
			filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append([]string{path}, dirs...)
				}
				return nil
			})
			for _, dir := range dirs {
				if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
					errs = append(errs, fmt.Errorf("%s: %w", dir, err))
				}
			}
		}
		return errors.Join(errs...)
	})
}
