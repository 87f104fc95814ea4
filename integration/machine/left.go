package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/defaults"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// CgroupRoot is the instance's own, so that its leftovers can be told apart from others.
func (m *Machine) CgroupRoot() string { return "/" + filepath.Base(m.Root) }

// CgroupV2 returns a folder below the instance's root in the v2 hierarchy.
func (m *Machine) CgroupV2(path string) string {
	mount := "/sys/fs/cgroup"
	if _, err := os.Stat(mount + "/cgroup.controllers"); err != nil {
		mount += "/unified"
	}
	return filepath.Join(mount, m.CgroupRoot(), path)
}

// CheckNoGroup checks that there is no trace of any group. The daemon still runs.
func (m *Machine) CheckNoGroup(t testing.TB) {
	t.Helper()
	Eventually(t, time.Minute, "nothing of a group is left", func() error {
		var left []string
		for _, dir := range []string{"run/netns", "run/volumes", "run/files", "groups.d", "state/wanted", "state/applied"} {
			found, _ := filepath.Glob(filepath.Join(m.Root, dir, "*"))
			left = append(left, found...)
		}
		for _, pattern := range []string{"/sys/fs/cgroup" + m.CgroupRoot(), "/sys/fs/cgroup/*" + m.CgroupRoot()} {
			found, _ := filepath.Glob(pattern + "/*")
			left = append(left, found...)
		}
		if err := InNetns(m.Host, func() error {
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

// checkNothingLeft checks that there is no trace of the instance, once its daemon and containerd
// have ended.
func (m *Machine) checkNothingLeft() {
	m.T.Helper()
	m.CheckNoGroup(m.T)
	Eventually(m.T, time.Minute, "nothing of the instance is left", func() error {
		left := Mentions("/proc/self/mountinfo", m.Root)
		left = append(left, Processes(m.Root)...)
		for _, pattern := range []string{"/sys/fs/cgroup" + m.CgroupRoot(), "/sys/fs/cgroup/*" + m.CgroupRoot()} {
			found, _ := filepath.Glob(pattern)
			left = append(left, found...)
		}
		tables, err := (&nftables.Conn{NetNS: int(m.Host)}).ListTables()
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

// Mentions lists the lines of a file that contain a word.
func Mentions(file, word string) (lines []string) {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, word) {
			lines = append(lines, "mount "+strings.TrimSpace(line))
		}
	}
	return lines
}

// HostNetwork prints the parts of the host's network that a group could leave something in.
func (m *Machine) HostNetwork(t testing.TB) (all []string) {
	t.Helper()
	for _, command := range []string{"ip -br link", "ip -br address", "ip route", "ip -6 route", "ip rule", "nft -s list ruleset"} {
		args := strings.Fields(command)
		cmd := exec.Command(args[0], args[1:]...)
		var out []byte
		if err := InNetns(m.Host, func() (err error) { out, err = cmd.CombinedOutput(); return err }); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		all = append(all, strings.Split(command+"\n"+string(out), "\n")...)
	}
	return all
}

// LeftOf lists what the host still has of a group.
func (m *Machine) LeftOf(group string) (left []string) {
	patterns := []string{"groups.d/" + group + ".hcl"}
	for _, dir := range []string{"run/netns", "run/volumes", "run/files", "run/seen", "state/wanted", "state/applied", "state/history", "state/generations", "state/ended", "state/lives", "state/timeouts", "state/volumes"} {
		patterns = append(patterns, dir+"/"+group+"*")
	}
	for _, p := range patterns {
		found, _ := filepath.Glob(filepath.Join(m.Root, p))
		left = append(left, found...)
	}
	for _, pattern := range []string{"/sys/fs/cgroup" + m.CgroupRoot(), "/sys/fs/cgroup/*" + m.CgroupRoot()} {
		found, _ := filepath.Glob(pattern + "/" + group)
		left = append(left, found...)
	}
	for _, g := range m.PS() {
		if g.Name == group {
			left = append(left, "group "+group)
		}
	}
	return append(left, Mentions("/proc/self/mountinfo", m.Root+"/run/volumes/"+group)...)
}

// LeftInContainerd lists what containerd, its shims and runc have under names with a prefix, leases
// included.
func (m *Machine) LeftInContainerd(prefix string) (left []string) {
	m.T.Helper()
	names, err := m.inContainerd()
	if err != nil {
		return []string{err.Error()}
	}
	for _, name := range names {
		if _, id, _ := strings.Cut(name, " "); strings.HasPrefix(strings.TrimPrefix(id, "sallyport."), prefix) {
			left = append(left, name)
		}
	}
	for _, dir := range []string{filepath.Join(m.Root, "run/containerd/state/io.containerd.runtime.v2.task"), "/run/containerd/runc"} {
		found, _ := filepath.Glob(filepath.Join(dir, m.ContainerdNamespace(), prefix+"*"))
		left = append(left, found...)
	}
	for _, p := range Processes(m.Root) {
		if strings.Contains(p, "containerd-shim") && strings.Contains(p, "-id "+prefix) {
			left = append(left, p)
		}
	}
	return left
}

// inContainerd lists the kind and name of everything in the instance's namespace of its containerd.
func (m *Machine) inContainerd() (all []string, err error) {
	client, err := containerd.New(filepath.Join(m.Root, "run", "containerd", "containerd.sock"), containerd.WithTimeout(time.Minute))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(context.Background(), m.ContainerdNamespace()), time.Minute)
	defer cancel()
	boxes, err := client.ContainerService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, c := range boxes {
		all = append(all, "containers "+c.ID)
	}
	running, err := client.TaskService().List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	for _, task := range running.Tasks {
		all = append(all, "tasks "+task.ID)
	}
	if err := client.SnapshotService(defaults.DefaultSnapshotter).Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		all = append(all, "snapshots "+info.Name)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	leases, err := client.LeasesService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	for _, l := range leases {
		all = append(all, "leases "+l.ID)
	}
	return all, nil
}

// CgroupRoots lists the instance's cgroup folders, one for each hierarchy.
func (m *Machine) CgroupRoots() (roots []string) {
	for _, pattern := range []string{"/sys/fs/cgroup" + m.CgroupRoot(), "/sys/fs/cgroup/*" + m.CgroupRoot()} {
		found, _ := filepath.Glob(pattern)
		roots = append(roots, found...)
	}
	return roots
}

// ProcessesInCgroups lists the processes in the instance's cgroups.
func (m *Machine) ProcessesInCgroups() (found []string) {
	for _, root := range m.CgroupRoots() {
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
