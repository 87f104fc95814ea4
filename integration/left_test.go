package integration

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// cgroupRoot is the instance's own, so that what it leaves behind can be told from others'.
func (m *machine) cgroupRoot() string { return "/" + filepath.Base(m.root) }

// cgroup2 is a folder below the instance's root in the v2 hierarchy.
func (m *machine) cgroup2(path string) string {
	mount := "/sys/fs/cgroup"
	if _, err := os.Stat(mount + "/cgroup.controllers"); err != nil {
		mount += "/unified"
	}
	return filepath.Join(mount, m.cgroupRoot(), path)
}

// checkNoGroup: no trace of any group, while the daemon lives.
func (m *machine) checkNoGroup(t testing.TB) {
	t.Helper()
	eventually(t, 3*time.Second, "nothing of a group is left", func() error {
		var left []string
		for _, dir := range []string{"run/netns", "run/volumes", "run/files", "groups.d", "state/wanted", "state/applied"} {
			found, _ := filepath.Glob(filepath.Join(m.root, dir, "*"))
			left = append(left, found...)
		}
		for _, pattern := range []string{"/sys/fs/cgroup" + m.cgroupRoot(), "/sys/fs/cgroup/*" + m.cgroupRoot()} {
			found, _ := filepath.Glob(pattern + "/*")
			left = append(left, found...)
		}
		if err := inNetns(m.host, func() error {
			links, err := netlink.LinkList()
			for _, l := range links {
				if strings.HasPrefix(l.Attrs().Name, "sp-") {
					left = append(left, "link "+l.Attrs().Name)
				}
			}
			return err
		}); err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("left: %s", strings.Join(left, ", "))
		}
		return nil
	})
}

// checkNothingLeft: no trace of the instance at all, its daemon and containerd ended.
func (m *machine) checkNothingLeft() {
	m.t.Helper()
	m.checkNoGroup(m.t)
	eventually(m.t, 5*time.Second, "nothing of the instance is left", func() error {
		left := mentions("/proc/self/mountinfo", m.root)
		left = append(left, processes(m.root)...)
		for _, pattern := range []string{"/sys/fs/cgroup" + m.cgroupRoot(), "/sys/fs/cgroup/*" + m.cgroupRoot()} {
			found, _ := filepath.Glob(pattern)
			left = append(left, found...)
		}
		tables, err := (&nftables.Conn{NetNS: int(m.host)}).ListTables()
		if err != nil {
			return err
		}
		for _, table := range tables {
			left = append(left, "table "+table.Name)
		}
		if len(left) > 0 {
			return fmt.Errorf("left:\n%s", strings.Join(left, "\n"))
		}
		return nil
	})
}

// mentions lists the lines of a file with a word in them.
func mentions(file, word string) (lines []string) {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, word) {
			lines = append(lines, "mount "+strings.TrimSpace(line))
		}
	}
	return lines
}

// processes lists the processes whose command line has a word in it, this one's left out.
func processes(word string) (found []string) {
	all, _ := fs.Glob(os.DirFS("/proc"), "[0-9]*")
	for _, pid := range all {
		line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		if strings.Contains(string(line), word) && pid != fmt.Sprint(os.Getpid()) {
			found = append(found, "process "+pid+": "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// hostState is what of the host's network a group could leave something in, as text.
func (m *machine) hostState(t testing.TB) (all []string) {
	t.Helper()
	for _, command := range []string{"ip -br link", "ip -br address", "ip route", "ip -6 route", "ip rule", "nft -s list ruleset"} {
		args := strings.Fields(command)
		cmd := exec.Command(args[0], args[1:]...)
		var out []byte
		if err := inNetns(m.host, func() (err error) { out, err = cmd.CombinedOutput(); return err }); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		all = append(all, strings.Split(command+"\n"+string(out), "\n")...)
	}
	return all
}

// leftOf lists what there is on the machine of one group.
func (m *machine) leftOf(group string) (left []string) {
	patterns := []string{"groups.d/" + group + ".hcl"}
	for _, dir := range []string{"run/netns", "run/volumes", "run/files", "run/seen", "state/wanted", "state/applied", "state/history", "state/generations", "state/ended", "state/lives", "state/volumes"} {
		patterns = append(patterns, dir+"/"+group+"*")
	}
	for _, p := range patterns {
		found, _ := filepath.Glob(filepath.Join(m.root, p))
		left = append(left, found...)
	}
	for _, pattern := range []string{"/sys/fs/cgroup" + m.cgroupRoot(), "/sys/fs/cgroup/*" + m.cgroupRoot()} {
		found, _ := filepath.Glob(pattern + "/" + group)
		left = append(left, found...)
	}
	for _, g := range m.ps() {
		if g.Name == group {
			left = append(left, "group "+group)
		}
	}
	return append(left, mentions("/proc/self/mountinfo", m.root+"/run/volumes/"+group)...)
}

// leftInContainerd lists what containerd, its shims and runc have whose name begins so, and what is held for it.
func (m *machine) leftInContainerd(prefix string) (left []string) {
	m.t.Helper()
	for _, kind := range []string{"containers", "tasks", "snapshots", "leases"} {
		out, err := exec.Command("ctr", "--address", filepath.Join(m.root, "run", "containerd", "containerd.sock"),
			"--namespace", m.namespace(), kind, "ls").CombinedOutput()
		if err != nil {
			return []string{fmt.Sprintf("%s: %v: %s", kind, err, out)}
		}
		for line := range strings.Lines(string(out)) {
			if name := strings.Fields(line); len(name) > 0 && strings.HasPrefix(strings.TrimPrefix(name[0], "sallyport."), prefix) {
				left = append(left, kind+" "+name[0])
			}
		}
	}
	for _, dir := range []string{filepath.Join(m.root, "run/containerd/state/io.containerd.runtime.v2.task"), "/run/containerd/runc"} {
		found, _ := filepath.Glob(filepath.Join(dir, m.namespace(), prefix+"*"))
		left = append(left, found...)
	}
	for _, p := range processes(m.root) {
		if strings.Contains(p, "containerd-shim") && strings.Contains(p, "-id "+prefix) {
			left = append(left, p)
		}
	}
	return left
}
