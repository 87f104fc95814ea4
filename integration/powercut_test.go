package integration

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
)

// TestPowerCut: of a machine that lost its power the disk is left, and no registry answers. The next daemon starts what ran, in
// order and shut, from what is on the disk; what was stopped stays down.
func TestPowerCut(t *testing.T) {
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, server)
			watch := newWatch(t, m.host)
			archive := filepath.Join(m.root, "image.tar")
			if err := copyFile(archive, strings.TrimPrefix(attackImage, "oci-archive:")); err != nil {
				t.Fatal(err)
			}
			image := "oci-archive:" + archive
			m.apply("brittle.hcl", fmt.Sprintf(brittle, image, "one", 8080, "203.0.113.1", "1MiB", "old"))
			m.apply("steady.hcl", fmt.Sprintf(steady, image))
			m.run("stop", "steady")
			if err := os.Remove(archive); err != nil {
				t.Fatal(err)
			}
			m.cutPower()
			watch.verdict()

			began := time.Now()
			m.start()
			m.awaitRunning("brittle")
			t.Logf("the group runs %v after the daemon was started", time.Since(began).Round(time.Millisecond))
			if running := m.pids("steady"); len(running) != 0 {
				t.Errorf("what was stopped runs: %v", running)
			}
			eventually(t, 20*time.Second, "the ambassador is at its door", func() error {
				if watch.door(0) == 0 {
					return errors.New("it isn't")
				}
				return nil
			})
			if _, members, first := watch.verdict(); members > 0 {
				t.Errorf("%d packets of members got out: %v", members, first)
			}
		})
	}
}

// cutPower leaves of the machine what is on its disk: no process, mount, cgroup, link, rule, nor anything below /run.
func (m *machine) cutPower() {
	m.t.Helper()
	m.kill()
	eventually(m.t, 20*time.Second, "no process is left", func() error {
		left := append(processes(m.root), m.inCgroups()...)
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
	eventually(m.t, 20*time.Second, "no mount is left", func() error {
		for _, line := range mentions("/proc/self/mountinfo", m.root) {
			if err := unix.Unmount(strings.Fields(line)[5], unix.MNT_DETACH); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
		}
		return nil
	})
	m.dropCgroups()
	for _, dir := range []string{filepath.Join(m.root, "run"), filepath.Join("/run/containerd/runc", m.namespace())} {
		if err := os.RemoveAll(dir); err != nil {
			m.t.Fatal(err)
		}
	}
	dropTables(m.t, m.host)
	within(m.t, m.host, func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, "sp-") {
				err = errors.Join(err, netlink.LinkDel(l))
			}
		}
		return err
	})
}

// cgroupRoots are the instance's, in every hierarchy.
func (m *machine) cgroupRoots() (roots []string) {
	for _, pattern := range []string{"/sys/fs/cgroup" + m.cgroupRoot(), "/sys/fs/cgroup/*" + m.cgroupRoot()} {
		found, _ := filepath.Glob(pattern)
		roots = append(roots, found...)
	}
	return roots
}

// inCgroups lists the processes in the instance's cgroups.
func (m *machine) inCgroups() (found []string) {
	for _, root := range m.cgroupRoots() {
		filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				text, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
				for pid := range strings.FieldsSeq(string(text)) {
					found = append(found, "process "+pid)
				}
			}
			return nil
		})
	}
	return found
}

// dropCgroups removes the instance's, the deepest first.
func (m *machine) dropCgroups() {
	m.t.Helper()
	eventually(m.t, 20*time.Second, "no cgroup is left", func() error {
		var errs []error
		for _, root := range m.cgroupRoots() {
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
