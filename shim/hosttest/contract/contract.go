// Package contract has the tests that every implementation of [runner.Runtime] passes, the one in
// memory too. The promise of a group rests on what they check.
package contract

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
)

// A Fixture is a runtime under test, and the things that a test needs from its host.
type Fixture struct {
	Runtime runner.Runtime
	Layout  layout.Layout
	Image   string   // reference of an image that the host can get
	Program []string // the command of a container that runs until it is stopped

	// Seal pins the group's network namespace, and returns a name that no other namespace has.
	Seal func(group string) (netns string, err error)
	// Mount makes a volume of the group.
	Mount func(group, volume string) error
	// Ran reports whether a container's program has run, now or before. It doesn't wait.
	Ran func(group, container string) bool
	// Report returns what the program of a container found when it began to run. It waits for the
	// program.
	Report func(group, container string) (Report, error)
}

// A Report has what the program of a container found when it began to run.
type Report struct {
	Netns        string           // the name that Seal gave
	Cgroup       string           // from the root of the hierarchy
	Mounts       map[string]Mount // by path
	ReadOnly     bool             // it can't write to its root file system
	Tmpfs        []spec.Tmpfs     // sorted by path, without what the kernel gives by itself: mode 1777 of root
	Output       string           // the file with what it prints
	Capabilities []string         // all that it can ever have, without CAP_
	Filtered     bool             // it is under a seccomp filter, and can't get more privileges
}

// A Mount is a volume of the group in a container.
type Mount struct {
	Volume   string
	ReadOnly bool
}

// A Check is one part of the contract. Run works with a group of that name, which does not exist
// yet. It leaves nothing of the group's containers.
type Check struct {
	Name string
	Run  func(ctx context.Context, f Fixture, group string) error
}

// RuntimeContract holds a runtime to its contract. It makes a fixture for each check. The fixtures
// may share a host.
func RuntimeContract(t *testing.T, newFixture func(t *testing.T) Fixture) {
	t.Helper()
	for i, check := range Checks {
		t.Run(check.Name, func(t *testing.T) {
			if err := check.Run(t.Context(), newFixture(t), fmt.Sprintf("contract%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Checks are the parts of the contract.
var Checks = []Check{
	{"an image that is present stays the same", checkImage},
	{"create runs no program", checkCreated},
	{"a container is observed as it was asked for", checkObserved},
	{"a program is in its group's network namespace", checkNetns},
	{"without a namespace there is no container", checkNoNetns},
	{"a program is in the cgroup of its role", checkCgroup},
	{"a program has its volumes", checkVolumes},
	{"without a volume there is no container", checkNoVolume},
	{"a program has its memory and a root file system that is read-only", checkReadOnly},
	{"a program can write to its root file system", checkWritable},
	{"a program prints to its file", checkOutput},
	{"a program can't do what rules can't see", checkDenied},
	{"a container that asks for a way out is refused", checkRefused},
	{"a container that is there keeps its place", checkTwice},
	{"stop ends a program, and a second stop is no error", checkStop},
	{"remove leaves nothing", checkRemove},
}

// A harness is one group on a fixture.
type harness struct {
	Fixture
	ctx   context.Context
	group *spec.Group
	image host.Image
	netns string
}

// newHarness makes the image of a group present and seals the group.
func newHarness(ctx context.Context, f Fixture, group string, containers ...spec.Container) (*harness, error) {
	t := &harness{Fixture: f, ctx: ctx, group: &spec.Group{Name: group}}
	for _, c := range containers {
		c.Image, c.Command = f.Image, f.Program
		c.Digest = "digest of " + c.Name
		t.group.Containers = append(t.group.Containers, c)
	}
	var err error
	if t.image, err = f.Runtime.Image(ctx, f.Image); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	if t.netns, err = f.Seal(group); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return t, nil
}

// end removes the containers that a check has made.
func (t *harness) end() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), time.Minute)
	defer cancel()
	for _, c := range t.group.Containers {
		_ = t.Runtime.Remove(ctx, t.group.Name, c.Name)
	}
}

func (t *harness) create(name string) error {
	return t.Runtime.Create(t.ctx, host.CreateRequest{Group: t.group, Container: *t.group.Container(name), Image: t.image, Generation: 3})
}

func (t *harness) start(name string) error {
	if err := t.create(name); err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	if err := t.Runtime.Start(t.ctx, t.group.Name, name); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

// state returns the observed state of a container. A nil state means that it is absent.
func (t *harness) state(name string) (*host.ContainerState, error) {
	states, err := t.Runtime.Observe(t.ctx, t.group.Name)
	if err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	for _, s := range states {
		if s.Name == name {
			return &s, nil
		}
	}
	return nil, nil
}

// expect returns an error unless the container has a task in that state. TaskNone means that the
// container is absent.
func (t *harness) expect(name string, want host.TaskState) error {
	s, err := t.state(name)
	switch {
	case err != nil:
		return err
	case s == nil && want != host.TaskNone:
		return fmt.Errorf("%s is absent, want it %s", name, want)
	case s != nil && s.Task != want:
		return fmt.Errorf("%s is %s, want %s", name, s.Task, want)
	}
	return nil
}

// absent returns an error unless Create failed with created and left nothing.
func (t *harness) absent(name string, created error) error {
	if created == nil {
		return fmt.Errorf("%s was created", name)
	}
	if s, err := t.state(name); err != nil || s != nil {
		return fmt.Errorf("%s was refused, and %+v is left of it (%v)", name, s, err)
	}
	return nil
}

// reported starts containers and returns what their programs found.
func (t *harness) reported(names ...string) (map[string]Report, error) {
	found := map[string]Report{}
	for _, name := range names {
		if err := t.start(name); err != nil {
			return nil, err
		}
		report, err := t.Report(t.group.Name, name)
		if err != nil {
			return nil, fmt.Errorf("report of %s: %w", name, err)
		}
		found[name] = report
	}
	return found, nil
}

func checkImage(ctx context.Context, f Fixture, _ string) error {
	first, err := f.Runtime.Image(ctx, f.Image)
	if err != nil {
		return err
	}
	if first.Ref != f.Image || first.Digest == "" {
		return fmt.Errorf("image is %+v, want the reference %s and a digest", first, f.Image)
	}
	if again, err := f.Runtime.Image(ctx, f.Image); err != nil || again != first {
		return fmt.Errorf("image is %+v (%v), was %+v", again, err, first)
	}
	return nil
}

func checkCreated(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.create("web"); err != nil {
		return err
	}
	if err := t.expect("web", host.TaskCreated); err != nil {
		return err
	}
	if f.Ran(group, "web") {
		return errors.New("the program has run before it was started")
	}
	if err := f.Runtime.Start(ctx, group, "web"); err != nil {
		return err
	}
	if _, err := f.Report(group, "web"); err != nil {
		return err
	}
	if err := t.expect("web", host.TaskRunning); err != nil {
		return err
	}
	if !f.Ran(group, "web") {
		return errors.New("the program runs, and Ran reports that it has not run")
	}
	if f.Runtime.Start(ctx, group, "never") == nil {
		return errors.New("a container that is absent was started")
	}
	return nil
}

func checkObserved(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.Sidecar})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.create("web"); err != nil {
		return err
	}
	s, err := t.state("web")
	if err != nil || s == nil {
		return fmt.Errorf("observed %v (%v)", s, err)
	}
	got := host.ContainerState{Group: s.Group, Name: s.Name, Role: s.Role, Digest: s.Digest, ImageDigest: s.ImageDigest, Generation: s.Generation}
	want := host.ContainerState{Group: group, Name: "web", Role: spec.Sidecar, Digest: "digest of web", ImageDigest: t.image.Digest, Generation: 3}
	if got != want {
		return fmt.Errorf("observed %+v, want %+v", got, want)
	}
	if s.CreatedAt.IsZero() {
		return errors.New("it has no time of creation")
	}
	all, err := f.Runtime.Observe(ctx, "")
	if err != nil || !slices.ContainsFunc(all, func(s host.ContainerState) bool { return s.Group == group && s.Name == "web" }) {
		return fmt.Errorf("observed of all groups: %+v (%v)", all, err)
	}
	if others, err := f.Runtime.Observe(ctx, group+"x"); err != nil || len(others) > 0 {
		return fmt.Errorf("observed of another group: %+v (%v)", others, err)
	}
	return nil
}

func checkNetns(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "proxy", Role: spec.Ambassador}, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("proxy", "web")
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if got := found[name].Netns; got != t.netns {
			return fmt.Errorf("%s is in namespace %q, want %q", name, got, t.netns)
		}
	}
	return nil
}

func checkNoNetns(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	t.group.Name = group + "-unsealed"
	defer t.end()
	return t.absent("web", t.create("web"))
}

func checkCgroup(ctx context.Context, f Fixture, group string) error {
	roles := map[string]spec.Role{"proxy": spec.Ambassador, "log": spec.Sidecar, "web": spec.App}
	t, err := newHarness(ctx, f, group, spec.Container{Name: "proxy", Role: spec.Ambassador},
		spec.Container{Name: "log", Role: spec.Sidecar}, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("proxy", "log", "web")
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if got, want := found[name].Cgroup, f.Layout.CgroupPath(group, roles[name], name); got != want {
			return fmt.Errorf("%s is in cgroup %q, want %q", name, got, want)
		}
	}
	return nil
}

func checkVolumes(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App, Mounts: []spec.Mount{
		{Volume: "data", Path: "/var/data"}, {Volume: "conf", Path: "/var/conf", ReadOnly: true},
	}})
	if err != nil {
		return err
	}
	defer t.end()
	t.group.Volumes = []spec.Volume{{Name: "data", Size: 1 << 20}, {Name: "conf", Size: 1 << 20}}
	for _, v := range t.group.Volumes {
		if err := f.Mount(group, v.Name); err != nil {
			return fmt.Errorf("mount %s: %w", v.Name, err)
		}
	}
	found, err := t.reported("web")
	if err != nil {
		return err
	}
	want := map[string]Mount{"/var/data": {Volume: "data"}, "/var/conf": {Volume: "conf", ReadOnly: true}}
	if got := found["web"].Mounts; !maps.Equal(got, want) {
		return fmt.Errorf("mounts are %+v, want %+v", got, want)
	}
	return nil
}

func checkReadOnly(ctx context.Context, f Fixture, group string) error {
	want := []spec.Tmpfs{{Path: "/run/web", Size: 1 << 20, Owner: "7:8", Mode: 0o700}, {Path: "/tmp", Size: 2 << 20, Exec: true}}
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App, ReadOnly: true, Tmpfs: want})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("web")
	if err != nil {
		return err
	}
	if got := found["web"]; !got.ReadOnly || !slices.Equal(got.Tmpfs, want) {
		return fmt.Errorf("read-only is %v and tmpfs %+v, want it read-only and %+v", got.ReadOnly, got.Tmpfs, want)
	}
	return nil
}

func checkWritable(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("web")
	if err != nil {
		return err
	}
	if got := found["web"]; got.ReadOnly || len(got.Tmpfs) > 0 {
		return fmt.Errorf("read-only is %v and tmpfs %+v, want neither", got.ReadOnly, got.Tmpfs)
	}
	return nil
}

func checkNoVolume(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App, Mounts: []spec.Mount{{Volume: "data", Path: "/var/data"}}})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.absent("web", t.create("web")); err != nil {
		return fmt.Errorf("a volume that its group doesn't have: %w", err)
	}
	t.group.Volumes = []spec.Volume{{Name: "data", Size: 1 << 20}}
	if err := t.absent("web", t.create("web")); err != nil {
		return fmt.Errorf("a volume that is not mounted: %w", err)
	}
	return nil
}

func checkOutput(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("web")
	if err != nil {
		return err
	}
	if got, want := found["web"].Output, f.Layout.LogPath(group, "web"); got != want {
		return fmt.Errorf("it prints to %q, want %q", got, want)
	}
	return nil
}

func checkDenied(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "proxy", Role: spec.Ambassador, Door: spec.Door{Unsafe: spec.Unsafe{Capabilities: []string{"NET_ADMIN"}}}},
		spec.Container{Name: "web", Role: spec.App}, spec.Container{Name: "few", Role: spec.App, Capabilities: []string{"CHOWN"}})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("proxy", "web", "few")
	if err != nil {
		return err
	}
	all := spec.DefaultCapabilities
	want := map[string][]string{"proxy": append(slices.Clone(all), "NET_ADMIN"), "web": all, "few": {"CHOWN"}}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		got := found[name]
		if !slices.Equal(slices.Sorted(slices.Values(got.Capabilities)), slices.Sorted(slices.Values(want[name]))) {
			return fmt.Errorf("%s has the capabilities %v, want %v", name, got.Capabilities, want[name])
		}
		if !got.Filtered {
			return fmt.Errorf("%s is not under a filter, or can get more privileges", name)
		}
	}
	return nil
}

func checkRefused(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group,
		spec.Container{Name: "raw", Role: spec.App, Capabilities: []string{"NET_RAW"}},
		spec.Container{Name: "proxy", Role: spec.Ambassador, Capabilities: []string{"SYS_ADMIN"}},
		spec.Container{Name: "unsafe", Role: spec.App, Door: spec.Door{Unsafe: spec.Unsafe{Capabilities: []string{"NET_ADMIN"}}}},
		spec.Container{Name: "worse", Role: spec.Ambassador, Door: spec.Door{Unsafe: spec.Unsafe{Capabilities: []string{"SYS_ADMIN"}}}})
	if err != nil {
		return err
	}
	defer t.end()
	for _, c := range t.group.Containers {
		refused := t.create(c.Name)
		if err := t.absent(c.Name, refused); err != nil {
			return err
		}
		if p, ok := errors.AsType[*hint.Error](refused); !ok || p.Hint == "" {
			return fmt.Errorf("%s: %w: no hint", c.Name, refused)
		}
	}
	return nil
}

func checkTwice(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.create("web"); err != nil {
		return err
	}
	first, err := t.state("web")
	if err != nil {
		return err
	}
	for _, want := range []host.TaskState{host.TaskCreated, host.TaskRunning} {
		if t.create("web") == nil {
			return fmt.Errorf("a container that is %s was created again", want)
		}
		again, err := t.state("web")
		if err != nil {
			return err
		}
		if again == nil || again.Task != want || !again.CreatedAt.Equal(first.CreatedAt) || again.PID != first.PID && want == host.TaskCreated {
			return fmt.Errorf("after a second create it is %+v, was %+v", again, first)
		}
		if want == host.TaskCreated {
			if err := f.Runtime.Start(ctx, group, "web"); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkStop(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.start("web"); err != nil {
		return err
	}
	for range 2 {
		if err := f.Runtime.Stop(ctx, group, "web", spec.Stop{Timeout: time.Second}); err != nil {
			return err
		}
		if err := t.expect("web", host.TaskStopped); err != nil {
			return err
		}
	}
	if s, err := t.state("web"); err != nil || s == nil || s.ExitedAt.IsZero() {
		return fmt.Errorf("it has no time of its end (%v)", err)
	}
	if err := f.Runtime.Stop(ctx, group, "never", spec.Stop{Timeout: time.Second}); err != nil {
		return fmt.Errorf("stop of an absent container: %w", err)
	}
	return nil
}

func checkRemove(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group, spec.Container{Name: "web", Role: spec.App}, spec.Container{Name: "made", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	if err := t.start("web"); err != nil {
		return err
	}
	if err := t.create("made"); err != nil {
		return err
	}
	for _, name := range []string{"web", "made", "web", "never"} {
		if err := f.Runtime.Remove(ctx, group, name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	if left, err := f.Runtime.Observe(ctx, group); err != nil || len(left) > 0 {
		return fmt.Errorf("%+v is left (%v)", left, err)
	}
	if err := t.start("web"); err != nil {
		return fmt.Errorf("start after remove: %w", err)
	}
	return nil
}
