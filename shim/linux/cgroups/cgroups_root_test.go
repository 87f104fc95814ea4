package cgroups_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/watch"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/cgroups"
	"github.com/sallyport/sallyport/spec"
)

// newCgroups returns the cgroups of this host below a root that no other test has. The root is
// removed at the end of the test.
func newCgroups(t *testing.T) (*cgroups.Cgroups, layout.Layout) {
	t.Helper()
	netnstest.Root(t)
	l := layout.Layout{CgroupRoot: fmt.Sprintf("/sallyport-limits-%d", os.Getpid())}
	c, err := cgroups.New(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := h.Remove(l.CgroupRoot)
		for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			err = h.Remove(l.CgroupRoot) // a killed process leaves its cgroup a moment later
		}
		if err != nil {
			t.Error(err)
		}
		if left := cgroupsAt(l.CgroupRoot); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
	return c, l
}

// cgroupsAt returns the folders of a cgroup in every hierarchy that has it.
func cgroupsAt(path string) []string {
	v2, _ := filepath.Glob("/sys/fs/cgroup" + path)
	v1, _ := filepath.Glob("/sys/fs/cgroup/*" + path)
	return append(v2, v1...)
}

// readLimit returns the first line of the first file that exists. The files are the names that the
// hierarchies have for one limit.
func readLimit(t *testing.T, cgroup string, files ...string) string {
	t.Helper()
	for _, dir := range cgroupsAt(cgroup) {
		for _, f := range files {
			if b, err := os.ReadFile(filepath.Join(dir, f)); err == nil {
				first, _, _ := strings.Cut(string(b), "\n")
				return strings.TrimPrefix(first, "default ")
			}
		}
	}
	t.Errorf("cgroup %s has none of %q", cgroup, files)
	return ""
}

func TestRootLimitTheGroup(t *testing.T) {
	c, l := newCgroups(t)
	ctx := context.Background()
	swap := int64(16 << 20)
	cgroup := l.GroupCgroup("g")
	memory := func() string { return readLimit(t, cgroup, "memory.max", "memory.limit_in_bytes") }
	for _, tt := range []struct {
		name   string
		r      spec.Resources
		memory string
		swap   []string // the values of v2 and of v1
		pids   string
		cpu    []string
		weight string
	}{
		{"all", spec.Resources{CPU: 1.5, Memory: 64 << 20, Swap: &swap, PIDs: 17, IOWeight: 50}, "67108864", []string{"16777216", "83886080"}, "17", []string{"150000 100000", "150000"}, "50"},
		{"wider", spec.Resources{CPU: 2, Memory: 256 << 20, Swap: &swap, PIDs: 170, IOWeight: 500}, "268435456", []string{"16777216", "285212672"}, "170", []string{"200000 100000", "200000"}, "500"},
		{"narrower", spec.Resources{CPU: 0.5, Memory: 32 << 20, Swap: new(int64), PIDs: 10, IOWeight: 10}, "33554432", []string{"0", "33554432"}, "10", []string{"50000 100000", "50000"}, "10"},
		{"memory alone", spec.Resources{Memory: 1 << 30}, "1073741824", []string{"max", "9223372036854771712"}, "max", []string{"max 100000", "-1"}, "100"},
		{"nothing", spec.Resources{}, "", []string{"max", "9223372036854771712"}, "max", []string{"max 100000", "-1"}, "100"},
	} {
		g := &spec.Group{Name: "g", Resources: tt.r}
		if got := c.Limited(ctx, g); got != host.Absent {
			t.Errorf("%s: before, the limits are %v, want absent", tt.name, got)
		}
		for range 2 {
			if err := c.Limit(ctx, g); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
		}
		if got := c.Limited(ctx, g); got != host.Present {
			t.Errorf("%s: the limits are %v, want present", tt.name, got)
		}
		if got := memory(); tt.memory != "" && got != tt.memory {
			t.Errorf("%s: memory %s, want %s", tt.name, got, tt.memory)
		}
		if got := readLimit(t, cgroup, "memory.swap.max", "memory.memsw.limit_in_bytes"); !slices.Contains(tt.swap, got) {
			t.Errorf("%s: swap %s, want one of %q", tt.name, got, tt.swap)
		}
		if got := readLimit(t, cgroup, "pids.max"); got != tt.pids {
			t.Errorf("%s: pids %s, want %s", tt.name, got, tt.pids)
		}
		if got := readLimit(t, cgroup, "cpu.max", "cpu.cfs_quota_us"); !slices.Contains(tt.cpu, got) {
			t.Errorf("%s: cpu %s, want one of %q", tt.name, got, tt.cpu)
		}
		if got := readLimit(t, cgroup, "io.weight", "io.bfq.weight", "blkio.bfq.weight"); got != tt.weight {
			t.Errorf("%s: weight %s, want %s", tt.name, got, tt.weight)
		}
	}
}

// A weight counts among siblings, so a container's is set where its neighbours are. The group's own
// cgroup keeps the kernel's.
func TestRootWeighTheContainers(t *testing.T) {
	c, l := newCgroups(t)
	ctx := context.Background()
	g := &spec.Group{Name: "g", Containers: []spec.Container{
		{Name: "proxy", Role: spec.Ambassador, Resources: spec.Resources{IOWeight: 300, Memory: 64 << 20, PIDs: 17}},
		{Name: "web", Role: spec.App, Resources: spec.Resources{IOWeight: 50}},
		{Name: "api", Role: spec.App},
	}}
	weight := func(cgroup string) string {
		t.Helper()
		return readLimit(t, cgroup, "io.weight", "io.bfq.weight", "blkio.bfq.weight")
	}
	proxy, web := l.ContainerCgroup("g", spec.Ambassador, "proxy"), l.ContainerCgroup("g", spec.App, "web")
	for _, want := range []string{"50", "500", "100"} {
		if got := c.Limited(ctx, g); got != host.Absent {
			t.Errorf("before weight %s the limits are %v, want absent", want, got)
		}
		for range 2 {
			if err := c.Limit(ctx, g); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Limited(ctx, g); got != host.Present {
			t.Errorf("with weight %s the limits are %v, want present", want, got)
		}
		if got := weight(web); got != want {
			t.Errorf("web has weight %s, want %s", got, want)
		}
		if got := weight(proxy); got != "300" {
			t.Errorf("proxy has weight %s, want 300", got)
		}
		g.Containers[1].Resources.IOWeight = map[string]uint16{"50": 500}[want]
	}
	if got := weight(l.GroupCgroup("g")); got != "100" {
		t.Errorf("the group has weight %s, want the kernel's own", got)
	}
	if made := cgroupsAt(l.ContainerCgroup("g", spec.App, "api")); len(made) > 0 {
		t.Errorf("made for a container without a weight: %q", made)
	}
	for _, dir := range cgroupsAt(proxy) {
		for file, none := range map[string]string{"memory.max": "max", "pids.max": "max"} {
			if b, err := os.ReadFile(filepath.Join(dir, file)); err == nil && strings.TrimSpace(string(b)) != none {
				t.Errorf("%s of the container's cgroup is %s: the runtime sets it below", file, b)
			}
		}
	}
}

func TestRootLimitWithoutLimitsMakesNothing(t *testing.T) {
	c, l := newCgroups(t)
	g := &spec.Group{Name: "g"}
	if got := c.Limited(context.Background(), g); got != host.Present {
		t.Errorf("the limits are %v, want present", got)
	}
	if err := c.Limit(context.Background(), g); err != nil {
		t.Fatal(err)
	}
	if made := cgroupsAt(l.CgroupRoot); len(made) > 0 {
		t.Errorf("made: %q", made)
	}
}

func TestRootLimitNoticesChangesOfOthers(t *testing.T) {
	c, l := newCgroups(t)
	ctx := context.Background()
	g := &spec.Group{Name: "g", Resources: spec.Resources{PIDs: 17}}
	if err := c.Limit(ctx, g); err != nil {
		t.Fatal(err)
	}
	for _, dir := range cgroupsAt(l.GroupCgroup("g")) {
		path := filepath.Join(dir, "pids.max")
		if _, err := os.Stat(path); err == nil {
			if err := os.WriteFile(path, []byte("max"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := c.Limited(ctx, g); got != host.Absent {
		t.Errorf("after another process removed a limit they are %v, want absent", got)
	}
	if err := c.Limit(ctx, g); err != nil || c.Limited(ctx, g) != host.Present {
		t.Errorf("the limit was not restored: %v", err)
	}
}

// What others write to the limits is heard, also where there is no limit.
func TestRootLimitsAreHeard(t *testing.T) {
	c, l := newCgroups(t)
	w, err := watch.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var heard atomic.Int64
	w.Listen(func(events []watch.Event) {
		if slices.Contains(events, watch.Event{Kind: watch.Written, Name: "g"}) {
			heard.Add(1)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	defer running.Wait()
	defer cancel()
	c.Hear(w)
	if c.Limited(ctx, &spec.Group{Name: "g"}) != host.Present || c.Heard("g") {
		t.Error("limits of a group are heard that nothing ends")
	}
	if _, err := w.Namespace("g", netnstest.NewNamespace(t)); err != nil {
		t.Fatal(err)
	}

	g := &spec.Group{Name: "g", Resources: spec.Resources{PIDs: 17}}
	if c.Heard("g") {
		t.Error("limits are heard before they were read")
	}
	if err := c.Limit(ctx, g); err != nil || c.Limited(ctx, g) != host.Present || !c.Heard("g") {
		t.Fatalf("limits: %v, %v, heard %t", err, c.Limited(ctx, g), c.Heard("g"))
	}
	limit := func(g *spec.Group, value string, want host.Presence) {
		t.Helper()
		before := heard.Load()
		for _, dir := range cgroupsAt(l.GroupCgroup("g")) {
			if path := filepath.Join(dir, "pids.max"); exists(path) {
				if err := os.WriteFile(path, []byte(value), 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		netnstest.Eventually(t, "a limit is written", func() bool { return heard.Load() > before })
		if got := c.Limited(ctx, g); got != want {
			t.Errorf("with %s they are %v, want %v", value, got, want)
		}
	}
	limit(g, "max", host.Absent)
	limit(g, "17", host.Present)
	unlimited := &spec.Group{Name: "g"}
	if c.Limited(ctx, unlimited) != host.Absent {
		t.Error("an old limit counts as none")
	}
	limit(unlimited, "max", host.Present)
	limit(unlimited, "19", host.Absent)
	w.Forget("g")
	if c.Heard("g") {
		t.Error("limits are heard that were forgotten")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Two members without limits of their own share the limit of their group.
func TestRootLimitIsSharedByMembers(t *testing.T) {
	c, l := newCgroups(t)
	g := &spec.Group{Name: "g", Resources: spec.Resources{PIDs: 2}}
	if err := c.Limit(context.Background(), g); err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, dir := range cgroupsAt(l.GroupCgroup("g")) {
		if _, err := os.Stat(filepath.Join(dir, "pids.max")); err == nil {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) != 1 {
		t.Fatalf("the limit is in %q, want one folder", dirs)
	}
	join := func(member string) *exec.Cmd {
		dir := filepath.Join(dirs[0], "members", member)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		procs := filepath.Join(dir, "cgroup.procs")
		return exec.Command("/bin/sh", "-c", "echo $$ > "+procs+" && { sleep 60 & wait; }")
	}
	first, second := join("a"), join("b")
	for _, cmd := range []*exec.Cmd{first, second} {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = unix.Kill(-first.Process.Pid, unix.SIGKILL)
		_ = first.Wait()
	}()
	full := func() bool {
		b, _ := os.ReadFile(filepath.Join(dirs[0], "pids.current"))
		return strings.TrimSpace(string(b)) == "2"
	}
	for deadline := time.Now().Add(time.Minute); !full(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the first member does not have two processes")
		}
	}
	out, err := second.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Success() || !strings.Contains(string(out), "fork") {
		t.Errorf("a third process of the group: error %v, output %s", err, out)
	}
}
