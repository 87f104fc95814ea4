package ctrd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// While something else needs the shim, starts have less time: those that begin, and those that run.
// The start of a pre_stop has more of it than another one: one container's stop cuts off no
// other's.
func TestStartLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var limits startLimits
		began := time.Now()
		ends := func(group string, stopping bool, want time.Duration) func() {
			begin, done := limits.limit(t.Context(), group, time.Minute, startsInStop(host.ExecRequest{Stopping: stopping}))
			var all sync.WaitGroup
			all.Go(func() {
				<-begin.Done()
				if took := time.Since(began); took != want || !errors.Is(context.Cause(begin), errStartEnded) {
					t.Errorf("a start in %s ended after %s: %v, want %s", group, took, context.Cause(begin), want)
				}
			})
			return func() { all.Wait(); done() }
		}
		other := ends("other", false, time.Minute)
		runs, preStop := ends("g", false, execStartsInStop), ends("g", true, preStopStarts)
		raiseA, raiseB := limits.lower("g"), limits.lower("g")
		raiseA()
		begins, nextPreStop := ends("g", false, execStartsInStop), ends("g", true, preStopStarts)
		raiseB()
		after := ends("g", false, time.Minute)
		if preStopStarts >= callTimeout {
			t.Errorf("a pre_stop that is held up for %s makes the call of another container's stop fail", preStopStarts)
		}
		for _, wait := range []func(){other, runs, preStop, begins, nextPreStop, after} {
			wait()
		}
		if len(limits.groups) > 0 {
			t.Errorf("%d groups are left", len(limits.groups))
		}
	})
}

// A runtime opens the files of users at each exec. One that would make it wait is refused before.
func TestRootExecBesideABadUserFile(t *testing.T) {
	archive := busyboxArchive(t)
	cases := []struct{ name, make, file, want string }{
		{"passwd", "busybox mkfifo /etc/passwd", "/etc/passwd", "not a regular file"},
		{"group", "rm /etc/group; busybox mkfifo /etc/group", "/etc/group", "not a regular file"},
		{"link", "busybox mkfifo /pipe; busybox ln -s /pipe /etc/passwd", "/etc/passwd", "not a regular file"},
		{"kernel", "busybox ln -s /proc/kmsg /etc/passwd", "/etc/passwd", "a file of the kernel"},
		{"stdin", "busybox ln -s /proc/self/fd/0 /etc/passwd", "/etc/passwd", "a link that leads nowhere"},
		// The controls.
		{"regular", "echo web:x:1:1::/:/ >/etc/passwd", "", ""},
		{"other", "echo web:x:1:1::/:/ >/file; busybox ln -s ../../file /etc/passwd", "", ""},
		{"absent", "rm /etc/group", "", ""},
	}
	var containers []spec.Container
	for _, tt := range cases {
		containers = append(containers, script(tt.name, spec.App, "rm() { busybox rm -f $1; }; rm /etc/passwd; "+tt.make+"; echo made; sleep 1000"))
	}
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, containers...)
		r.run()
		for _, tt := range cases {
			t.Run(tt.name, func(t *testing.T) {
				r.says(tt.name, "made")
				began := time.Now()
				var out bytes.Buffer
				_, err := c.Exec(t.Context(), host.ExecRequest{Group: "g", Container: tt.name, Args: []string{"/bin/echo", "ran"}, Stdout: &out})
				switch {
				case tt.want == "":
					if err != nil || out.String() != "ran\n" {
						t.Errorf("%q, %v", out.String(), err)
					}
				case !errors.Is(err, host.ErrUserFile), hint.Of(err) == "", strings.Count(err.Error(), tt.file) != 1, !strings.Contains(err.Error(), tt.want):
					t.Errorf("error %v with hint %q, want %s: %s", err, hint.Of(err), tt.file, tt.want)
				}
				if took := time.Since(began); took > execStarts/2 {
					t.Errorf("answered after %s", took)
				}
				r.stopsSoon(tt.name)
			})
		}
		r.noRuntimes()
	})
}

// A start that a container holds up is ended, and nothing of it is left.
func TestRootExecHeldUp(t *testing.T) {
	archive := busyboxArchive(t)
	pipe := script("app", spec.App, "busybox rm /etc/passwd; busybox mkfifo /etc/passwd; echo made; sleep 1000")
	tests := []struct {
		name string
		end  func(r *harness, cancel func())
		is   error // nil: its end, or that of the container, comes first
	}{
		{"its caller leaves at once", func(r *harness, cancel func()) { cancel() }, context.Canceled},
		{"its time is over", func(r *harness, _ func()) {}, errStartEnded},
		{"its caller leaves", func(r *harness, cancel func()) { cancel() }, context.Canceled},
		{"its container is stopped", func(r *harness, _ func()) { r.stopsSoon("app") }, nil},
		{"another container of the group is stopped", func(r *harness, _ func()) { r.stopsSoon("other") }, errStartEnded},
		{"its container is removed", func(r *harness, _ func()) {
			if err := r.c.Remove(r.Context(), "g", "app"); err != nil {
				r.Error(err)
			}
		}, nil},
		{"the daemon was killed", func(r *harness, _ func()) {
			next, err := New(r.c.cfg)
			if err != nil {
				r.Fatal(err)
			}
			next.EndLeftExecs(r.Context())
			if err := next.Close(); err != nil {
				r.Error(err)
			}
		}, nil},
	}
	eachServer(t, func(t *testing.T, c *Client) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				r := newHarness(t, c, archive, pipe, script("other", spec.App, "sleep 1000"))
				r.run()
				r.says("app", "made")
				c.execStarts = execStarts
				if tt.name == "its time is over" {
					c.execStarts = time.Second
				}
				k := &killed{harness: *r}
				f := k.exec("app", "exit 0")
				var reading sync.WaitGroup
				streams := f.drain(&reading)
				ctx, cancel := context.WithCancel(r.ctx())
				defer cancel()
				ended := make(chan error, 1)
				if tt.name == "its caller leaves at once" {
					cancel()
				}
				go func() { ended <- c.startExec(ctx, "g", f, execStartsInStop) }()
				if ctx.Err() == nil {
					r.eventually("the runtime is in the container", func() bool {
						_, children := c.starter(f)
						return len(children) > 0
					})
				}
				began := time.Now()
				tt.end(r, cancel)
				err := <-ended
				if took := time.Since(began); tt.is != nil && !errors.Is(err, tt.is) || took > execStarts/2 {
					t.Errorf("ended after %s: %v, want %v", took, err, tt.is)
				}
				for _, s := range streams {
					_ = s.Close()
				}
				reading.Wait()
				if err := c.endExec(r.ctx(), f); err != nil {
					t.Error(err)
				}
				r.noRuntimes()
				r.removeAll()
			})
		}
	})
}

// A container that swaps the file at the right moment holds up nothing for long.
func TestRootExecRacesWithItsContainer(t *testing.T) {
	archive := busyboxArchive(t)
	const swaps = `busybox mkfifo /etc/pipe; busybox cp /etc/passwd /etc/file; echo made
while :; do busybox ln -f /etc/pipe /etc/x; busybox mv /etc/x /etc/passwd; busybox ln -f /etc/file /etc/x; busybox mv /etc/x /etc/passwd; done`
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("app", spec.App, swaps), script("other", spec.App, "sleep 1000"))
		r.run()
		r.says("app", "made")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // how long they race
		defer cancel()
		var all sync.WaitGroup
		for range execsAtOnce {
			all.Go(func() {
				for ctx.Err() == nil {
					_, err := c.Exec(t.Context(), host.ExecRequest{Group: "g", Container: "app", Args: []string{"/bin/true"}})
					if err != nil && !errors.Is(err, host.ErrUserFile) && !errors.Is(err, errStartEnded) && !errors.Is(err, errNotRunning) {
						t.Logf("exec: %v", err)
					}
				}
			})
		}
		<-ctx.Done()
		r.stopsSoon("app")
		all.Wait()
		r.stopsSoon("other")
		r.noExecs()
		r.noRuntimes()
	})
}

// stopsSoon stops a container, which must not wait until a start that is held up is given up.
func (r *harness) stopsSoon(name string) {
	r.Helper()
	began := time.Now()
	err := r.c.Stop(r.Context(), "g", name, spec.Stop{Timeout: time.Second})
	if took := time.Since(began); err != nil || took > execStarts/2 {
		r.Errorf("stop of %s took %s: %v", name, took, err)
	}
}

// noRuntimes fails the test if a runtime still starts a process, or is still in a container.
func (r *harness) noRuntimes() {
	r.Helper()
	r.eventually("no runtime is left", func() bool {
		all, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range all {
			line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
			cgroup, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
			starts := bytes.Contains(line, []byte(r.c.cfg.Layout.Namespace+"/")) && bytes.Contains(line, []byte("\x00exec\x00"))
			inside := bytes.HasSuffix(line, []byte("runc\x00init\x00")) && bytes.Contains(cgroup, []byte(r.c.cfg.Layout.CgroupRoot+"/"))
			if starts || inside {
				return false
			}
		}
		return true
	})
}
