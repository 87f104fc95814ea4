// Package contract has the tests that every implementation of [runner.Runtime] passes, the one in
// memory too. The promise of a group rests on what they check.
package contract

import (
	"context"
	"fmt"
	"testing"
	"time"

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

	Device   string      // a device of the host that a container can have to read
	NoDevice string      // one that the host doesn't have
	WayOut   string      // one that no container gets
	Signer   spec.Signer // one who has signed the image
	Stranger spec.Signer // one who has not

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
	Netns        string            // the name that Seal gave
	Cgroup       string            // from the root of the hierarchy
	Mounts       map[string]Mount  // by path
	ReadOnly     bool              // it can't write to its root file system
	Tmpfs        []spec.Tmpfs      // sorted by path, without what the kernel gives by itself: mode 1777 of root
	Output       string            // the file with what it prints
	Errors       string            // the file with what it prints to standard error
	GroupOutput  map[string]Folder // the group's log folder, by the paths at which it is shown
	Capabilities []string          // all that it can ever have, without CAP_
	Filtered     bool              // it is under a seccomp filter, and can't get more privileges
	Devices      map[string]string // how it could open those of the group file, by path: "r", "w", "rw"
}

// A Mount is a volume of the group in a container.
type Mount struct {
	Volume   string
	ReadOnly bool
}

// A Folder is a folder of the host in a container.
type Folder struct {
	Path     string // on the host
	ReadOnly bool
	Readable bool // the program could read each file in it
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
	{"a program prints its errors to their own file", checkSplitOutput},
	{"a sidecar reads its group's output", checkGroupOutput},
	{"a program can't do what rules can't see", checkDenied},
	{"a container that asks for a way out is refused", checkRefused},
	{"a program has its devices", checkDevices},
	{"without a device there is no container", checkNoDevice},
	{"a container whose image is not known to be signed is refused", checkSigned},
	{"a container that is there keeps its place", checkTwice},
	{"a reload keeps the program, and is observed", checkReload},
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
