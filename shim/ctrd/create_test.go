package ctrd

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A container that can't be made is refused with a hint, and leaves nothing.
func TestRootCreateRefused(t *testing.T) {
	archive := busyboxArchive(t)
	tests := []struct {
		name string
		edit func(*spec.Container)
		want string
		hint string
	}{
		{"no such program", func(c *spec.Container) { c.Command = []string{"servr"} }, `create g.web: exec: "servr": `, "no such program"},
		{"no such path", func(c *spec.Container) { c.Command = []string{"/bin/servr"} }, `create g.web: exec: "/bin/servr": `, "no such program"},
		{"not a program", func(c *spec.Container) { c.Command = []string{"/etc/passwd"} }, "permission denied", "may not run the program"},
		{"no such user", func(c *spec.Container) { c.User = "nobody" }, `create g.web: user "nobody": `, "/etc/passwd"},
		{"no such group", func(c *spec.Container) { c.User = "web:nobody" }, `create g.web: user "web:nobody": `, "/etc/passwd"},
		{"workdir is a file", func(c *spec.Container) { c.WorkDir = "/etc/passwd" }, "create g.web: ", "workdir"},
		{"file over a folder", func(c *spec.Container) { c.Files = []spec.File{{Path: "/bin"}} }, "not a directory", "over a folder"},
		{"network raw", func(c *spec.Container) { c.Capabilities = []string{"NET_RAW"} }, "NET_RAW", "capabilities"},
	}
	eachServer(t, func(t *testing.T, c *Client) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				web := script("web", spec.App, "exit 0")
				tt.edit(&web)
				r := newHarness(t, c, archive, web)
				err := c.Create(t.Context(), r.request("web"))
				if err == nil {
					t.Fatal("no error")
				}
				if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q is not one line with %q", err, tt.want)
				}
				var p *hint.Error
				if !errors.As(err, &p) || !strings.Contains(p.Hint, tt.hint) {
					t.Errorf("hint is %+v, want %q in it", p, tt.hint)
				}
				r.nothing()
			})
		}
	})
}

func TestRootCreateWithoutNetns(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("web", spec.App, "exit 0"))
		r.group.Name = "other" // whose namespace is not pinned
		if err := c.Create(t.Context(), r.request("web")); err == nil {
			t.Fatal("a container was made without a namespace to be in")
		}
		r.nothing()
	})
}

// A container without a running program is replaced by another of its name. One with a running
// program stays.
func TestRootCreateAgain(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("web", spec.App, "[ -e /tmp/before ] && exit 1; touch /tmp/before; exit 0"))
		r.run()
		if _, s := r.ended("web"); s.ExitStatus != 0 {
			t.Fatalf("the first ended with %d", s.ExitStatus)
		}
		r.run()
		if _, s := r.ended("web"); s.ExitStatus != 0 {
			t.Error("the second found the first one's filesystem")
		}

		// A daemon leaves it like this if it is killed between record and task.
		if err := c.removeTask(r.ctx(), "g", "g.web"); err != nil {
			t.Fatal(err)
		}
		if s := r.state("web"); s.Task != host.TaskNone {
			t.Errorf("without a task it is %q", s.Task)
		}
		r.create()

		err := c.Create(t.Context(), r.request("web"))
		if !errdefs.IsAlreadyExists(err) {
			t.Errorf("over a created container: %v", err)
		}
		if _, err := os.Stat(c.cfg.Layout.FilesPath("g", "web")); err != nil {
			t.Errorf("its files: %v", err)
		}
		r.start("web")
		r.ended("web")
	})
}

// One shim can serve every group.
func TestRootHostShim(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		c.cfg.HostShim = true
		shims := map[int]bool{}
		for _, group := range []string{"g", "h"} {
			r := newHarness(t, c, archive, script("web", spec.App, "sleep 1000"))
			r.group.Name = group
			pinNetns(t, c.cfg.Layout.NetnsPath(group))
			if err := c.Create(t.Context(), r.request("web")); err != nil {
				t.Fatal(err)
			}
			shims[r.parent(r.states(group)[0].PID)] = true
		}
		if len(shims) != 1 {
			t.Errorf("%d shims, want 1", len(shims))
		}
		for _, group := range []string{"g", "h"} {
			if err := c.Remove(t.Context(), group, "web"); err != nil {
				t.Error(err)
			}
		}
	})
}

// While containerd is away nothing is known, and the error comes soon.
func TestRootServerGone(t *testing.T) {
	archive := busyboxArchive(t)
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		c, stop := startServer(t, binary)
		r := newHarness(t, c, archive, script("web", spec.App, "sleep 1000"))
		r.run()
		pid := r.state("web").PID
		stop()
		began := time.Now()
		if states, err := c.Observe(t.Context(), "g"); err == nil {
			t.Errorf("observed %+v", states)
		}
		if took := time.Since(began); took > 4*callTimeout {
			t.Errorf("took %v", took)
		}
		if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(int(pid)))); err != nil {
			t.Errorf("the container didn't outlive containerd: %v", err)
		}
		if err := unix.Kill(int(pid), unix.SIGKILL); err != nil {
			t.Error(err)
		}
		r.eventually("the program is gone", func() bool { return unix.Kill(int(pid), 0) == unix.ESRCH })
	})
}
