package ctrd

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/spec"
)

// shimWaits is how long a shim waits for a reader.
const shimWaits = 30 * time.Second

// A daemon that was killed in the middle of an exec leaves streams without a reader. The next
// daemon gets its answers all the same.
func TestRootExecLeft(t *testing.T) {
	const stays = "exec sleep 2222"
	tests := []struct {
		name  string
		leave func(k *killed)
	}{
		{"while it was started", func(k *killed) { k.start(k.exec("app", "exit 0")) }},
		{"while it was started, and stays", func(k *killed) { k.start(k.exec("app", stays)) }},
		{"while many were started", func(k *killed) {
			k.start(k.exec("app", "exit 0"), k.exec("other", stays), k.exec("app", stays), k.exec("other", "exit 0"), k.exec("app", "exit 0"))
		}},
		{"before it was started", func(k *killed) { k.exec("app", stays) }},
		{"while it ran", func(k *killed) {
			f := k.exec("app", stays)
			var reading sync.WaitGroup
			streams := f.drain(&reading)
			k.start(f)
			k.eventually("it runs", func() bool { return strings.Contains(k.ps("app"), "2222") })
			for _, s := range streams {
				_ = s.Close()
			}
			reading.Wait()
		}},
		{"before containerd was asked", func(k *killed) { k.streams(k.c.newExecFolder("g.app")) }},
		{"and its container is gone", func(k *killed) { k.streams(k.c.newExecFolder("g.never")) }},
		{"without a note of whose it is", func(k *killed) { k.streams(execFolder{path: k.c.execsDir() + "/123456"}) }},
	}
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("app", spec.App, "sleep 1000"), script("other", spec.App, "sleep 1000"), script("new", spec.App, "exit 0"))
		r.create()
		r.start("app", "other")
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				before, err := New(c.cfg)
				if err != nil {
					t.Fatal(err)
				}
				k := &killed{harness: harness{TB: t, c: before, group: r.group}}
				tt.leave(k)
				k.die()

				began := time.Now()
				c.EndLeftExecs(t.Context())
				for name, want := range map[string]host.TaskState{"app": host.TaskRunning, "other": host.TaskRunning, "new": host.TaskCreated} {
					if got := r.state(name).Task; got != want {
						t.Errorf("%s is %s, want %s", name, got, want)
					}
				}
				if took := time.Since(began); took > shimWaits-5*time.Second {
					t.Errorf("answered after %v", took)
				}
				for _, f := range k.left {
					_, err := c.client.TaskService().Kill(r.ctx(), &tasks.KillRequest{ContainerID: f.container, ExecID: f.exec, Signal: uint32(unix.SIGKILL)})
					if !errdefs.IsNotFound(errgrpc.ToNative(err)) {
						t.Errorf("containerd still has %s: %v", f.exec, err)
					}
				}
				if ps := r.ps("app") + r.ps("other"); strings.Contains(ps, "2222") {
					t.Errorf("it still runs:\n%s", ps)
				}
				r.noExecs()
			})
		}
	})
}

// A process of this daemon doesn't count as left by another.
func TestRootExecOwnStays(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("app", spec.App, "sleep 1000"))
		r.run()
		ended := make(chan uint32, 1)
		started := make(chan struct{})
		go func() {
			status, err := c.Exec(t.Context(), host.ExecRequest{
				Group: "g", Container: "app", Args: []string{"/bin/sh", "-c", "sleep 1; exit 7"}, Started: func() { close(started) },
			})
			if err != nil {
				t.Error(err)
			}
			ended <- status
		}()
		<-started
		c.EndLeftExecs(t.Context())
		if status := <-ended; status != 7 {
			t.Errorf("status %d, want 7", status)
		}
		r.noExecs()
	})
}

// A killed daemon has sent requests and takes no answer.
type killed struct {
	harness
	left  []execFolder
	calls sync.WaitGroup
	cut   []context.CancelFunc
}

// streams makes a process's streams as a daemon has them open.
func (k *killed) streams(f execFolder) {
	k.Helper()
	set, err := f.fifos(false)
	if err != nil {
		k.Fatal(err)
	}
	for _, path := range []string{set.Stdout, set.Stderr} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			k.Fatal(err)
		}
	}
}

// exec has containerd make a process. It doesn't start it.
func (k *killed) exec(name, line string) execFolder {
	k.Helper()
	f := k.c.newExecFolder(spec.ID("g", name))
	k.streams(f)
	set, err := f.fifos(false)
	if err != nil {
		k.Fatal(err)
	}
	in, err := k.c.target(k.ctx(), f.container)
	if err != nil {
		k.Fatal(err)
	}
	process, err := typeurl.MarshalAnyToProto(oci.ExecProcess(in.spec.Process, oci.ExecInput{Args: []string{"/bin/sh", "-c", line}}))
	if err != nil {
		k.Fatal(err)
	}
	req := &tasks.ExecProcessRequest{ContainerID: f.container, ExecID: f.exec, Stdout: set.Stdout, Stderr: set.Stderr, Spec: process}
	if _, err := k.c.client.TaskService().Exec(k.ctx(), req); err != nil {
		k.Fatal(err)
	}
	k.left = append(k.left, f)
	return f
}

// start returns when the starts are well under way.
func (k *killed) start(folders ...execFolder) {
	ctx, cancel := k.c.ctx(k.Context(), 0)
	k.cut = append(k.cut, cancel)
	for _, f := range folders {
		k.calls.Go(func() {
			_, _ = k.c.client.TaskService().Start(ctx, &tasks.StartRequest{ContainerID: f.container, ExecID: f.exec})
		})
	}
	time.Sleep(300 * time.Millisecond)
}

func (k *killed) die() {
	for _, cut := range k.cut {
		cut()
	}
	k.calls.Wait()
	if err := k.c.Close(); err != nil {
		k.Error(err)
	}
}

// ps lists a container's processes.
func (r *harness) ps(name string) string {
	r.Helper()
	out, _ := r.exec(name, "ps")
	return out
}

// noExecs fails the test if a process, or its streams, is left.
func (r *harness) noExecs() {
	r.Helper()
	r.eventually("everything exec'd is forgotten", func() bool {
		left, err := os.ReadDir(r.c.execsDir())
		return err == nil && len(left) == 0
	})
}
