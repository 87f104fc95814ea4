package ctrd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A harness is a group on a private containerd. Its image is present, and its namespace pinned.
type harness struct {
	testing.TB
	c     *Client
	image host.Image
	group *spec.Group
}

// newHarness makes a harness for containers that each run a shell script. The server's clean-up
// removes what they leave.
func newHarness(t testing.TB, c *Client, archive string, containers ...spec.Container) *harness {
	t.Helper()
	r := &harness{TB: t, c: c, group: &spec.Group{Name: "g", Containers: containers}}
	image, err := c.Image(t.Context(), "oci-archive:"+archive)
	if err != nil {
		t.Fatal(err)
	}
	r.image = image
	pinNetns(t, c.cfg.Layout.NetnsPath("g"))
	return r
}

// script is a container that runs a line of shell.
func script(name string, role spec.Role, line string) spec.Container {
	return spec.Container{Name: name, Role: role, Command: []string{"/bin/sh", "-c", line}}
}

// pinNetns makes a network namespace and mounts it at path, unless one is there. The owner of the
// path's folder unmounts it.
func pinNetns(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func (r *harness) request(name string) host.CreateRequest {
	return host.CreateRequest{Group: r.group, Container: *r.group.Container(name), Image: r.image, Generation: 7}
}

// create makes every container of the group at once.
func (r *harness) create() {
	r.Helper()
	var g errgroup.Group
	for _, c := range r.group.Containers {
		g.Go(func() error { return r.c.Create(r.Context(), r.request(c.Name)) })
	}
	if err := g.Wait(); err != nil {
		r.Fatal(err)
	}
}

func (r *harness) start(names ...string) {
	r.Helper()
	for _, name := range names {
		if err := r.c.Start(r.Context(), "g", name); err != nil {
			r.Fatal(err)
		}
	}
}

// run creates and starts a group's containers.
func (r *harness) run() {
	r.Helper()
	r.create()
	for _, c := range r.group.Containers {
		r.start(c.Name)
	}
}

// state returns one container's state. The container must be there.
func (r *harness) state(name string) host.ContainerState {
	r.Helper()
	for _, s := range r.states("g") {
		if s.Name == name {
			return s
		}
	}
	r.Fatalf("container %q is not observed", name)
	return host.ContainerState{}
}

func (r *harness) states(group string) []host.ContainerState {
	r.Helper()
	states, err := r.c.Observe(context.WithoutCancel(r.Context()), group)
	if err != nil {
		r.Fatal(err)
	}
	return states
}

// ended waits until a container's program has ended, and returns its output.
func (r *harness) ended(name string) (output string, state host.ContainerState) {
	r.Helper()
	if err := r.c.await(r.ctx(), spec.ID("g", name), time.Minute); err != nil {
		r.Fatal(err)
	}
	return r.output(name), r.state(name)
}

func (r *harness) ctx() context.Context {
	ctx, cancel := r.c.ctx(r.Context(), 0)
	r.Cleanup(cancel)
	return ctx
}

func (r *harness) output(name string) string {
	r.Helper()
	b, err := os.ReadFile(r.c.cfg.Layout.LogPath("g", name))
	if err != nil {
		r.Fatal(err)
	}
	return string(b)
}

// says waits until a container has written the words.
func (r *harness) says(name, words string) {
	r.Helper()
	r.eventually(name+" says "+words, func() bool {
		b, _ := os.ReadFile(r.c.cfg.Layout.LogPath("g", name))
		return bytes.Contains(b, []byte(words))
	})
}

// eventually asks until the answer is yes.
func (r *harness) eventually(what string, ok func() bool) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	for !ok() {
		if pause(ctx, lookAgain) != nil {
			r.Fatalf("not within a minute: %s", what)
		}
	}
}

// exec runs a line of shell in a container.
func (r *harness) exec(name, line string) (output string, status uint32) {
	r.Helper()
	var b bytes.Buffer
	status, err := r.c.Exec(r.Context(), host.ExecRequest{Group: "g", Container: name, Args: []string{"/bin/sh", "-c", line}, Stdout: &b, Stderr: &b})
	if err != nil {
		r.Fatal(err)
	}
	return b.String(), status
}

// nothing fails the test if anything of the group is left.
func (r *harness) nothing() {
	r.Helper()
	if left := r.states(""); len(left) > 0 {
		r.Errorf("containers are left: %+v", left)
	}
	snapshotter, err := r.c.snapshotter(r.ctx())
	if err != nil {
		r.Fatal(err)
	}
	for _, c := range r.group.Containers {
		if _, err := r.c.client.SnapshotService(snapshotter).Stat(r.ctx(), spec.ID("g", c.Name)); err == nil {
			r.Errorf("the snapshot of %s is left", c.Name)
		}
		if _, err := os.Stat(r.c.cfg.Layout.FilesPath("g", c.Name)); err == nil {
			r.Errorf("the files of %s are left", c.Name)
		}
	}
}

// parent returns the process that started pid: a container's shim.
func (r *harness) parent(pid uint32) int {
	r.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/status")
	if err != nil {
		r.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "PPid:"); ok {
			ppid, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				r.Fatal(err)
			}
			return ppid
		}
	}
	r.Fatalf("no parent of %d", pid)
	return 0
}

// removeAll removes every container of the group at once.
func (r *harness) removeAll() {
	r.Helper()
	var g errgroup.Group
	for _, c := range r.group.Containers {
		g.Go(func() error { return r.c.Remove(context.WithoutCancel(r.Context()), "g", c.Name) })
	}
	if err := g.Wait(); err != nil {
		r.Error(err)
	}
}
