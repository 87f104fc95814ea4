package ctrd

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func TestRootLife(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive,
			script("proxy", spec.Ambassador, "trap 'exit 3' TERM; echo proxy out; echo proxy err >&2; while :; do sleep 0.1; done"),
			script("ship", spec.Sidecar, "trap '' TERM; echo ship; while :; do sleep 0.1; done"),
			script("web", spec.App, "echo web; exit 5"))
		r.group.Container("web").Digest = "sha256:web"
		r.create()

		want := host.ContainerState{Group: "g", Name: "web", Role: spec.App, Digest: "sha256:web", ImageDigest: r.image.Digest, Generation: 7, Task: host.TaskCreated}
		got := r.state("web")
		if got.PID == 0 {
			t.Error("a created container has no process")
		}
		made := got.CreatedAt
		if time.Since(made).Abs() > time.Minute {
			t.Errorf("it was created at %s", made)
		}
		got.PID, got.CreatedAt = 0, time.Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
		if out := r.output("web"); out != "" {
			t.Errorf("a created container's program has run: %q", out)
		}
		shims := map[int]bool{}
		for _, s := range r.states("g") {
			shims[r.parent(s.PID)] = true
		}
		if len(shims) != 1 {
			t.Errorf("%d shims serve the group, want 1", len(shims))
		}

		r.start("proxy", "ship")
		r.says("proxy", "proxy out\n")
		r.says("proxy", "proxy err\n")
		r.says("ship", "ship\n")
		if s := r.state("proxy"); s.Task != host.TaskRunning || time.Since(s.StartedAt).Abs() > time.Minute {
			t.Errorf("a started container is %+v", s)
		}
		checkCgroup(t, c, r.state("proxy"), "/g/ambassador/proxy/leaf")
		checkCgroup(t, c, r.state("ship"), "/g/members/ship/leaf")

		r.start("web")
		out, s := r.ended("web")
		if out != "web\n" || s.Task != host.TaskStopped || s.ExitStatus != 5 || time.Since(s.ExitedAt).Abs() > time.Minute {
			t.Errorf("said %q, is %+v", out, s)
		}

		if err := c.Stop(t.Context(), "g", "proxy", spec.Stop{Timeout: 20 * time.Second}); err != nil {
			t.Error(err)
		}
		if s := r.state("proxy"); s.Task != host.TaskStopped || s.ExitStatus != 3 {
			t.Errorf("stopped by a signal: %+v, want status 3", s)
		}
		if err := c.Stop(t.Context(), "g", "ship", spec.Stop{Timeout: 200 * time.Millisecond}); err != nil {
			t.Error(err)
		}
		if s := r.state("ship"); s.Task != host.TaskStopped || s.ExitStatus != 128+9 {
			t.Errorf("stopped by force: %+v, want status 137", s)
		}
		for _, name := range []string{"proxy", "proxy", "never"} {
			if err := c.Stop(t.Context(), "g", name, spec.Stop{Timeout: time.Second}); err != nil {
				t.Errorf("stop %s, which doesn't run: %v", name, err)
			}
		}

		for _, name := range []string{"web", "ship", "proxy", "proxy", "never"} {
			if err := c.Remove(t.Context(), "g", name); err != nil {
				t.Error(err)
			}
		}
		r.nothing()

		r.create()
		if again := r.state("web").CreatedAt; again.Equal(made) {
			t.Errorf("one that was removed and one in its place were both created at %s", made)
		}
	})
}

func checkCgroup(t *testing.T, c *Client, s host.ContainerState, want string) {
	t.Helper()
	got, err := cgroupOf(c, s.Group, s.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got != c.cfg.Layout.CgroupRoot+want {
		t.Errorf("%s is in cgroup %s, want %s%s", s.Name, got, c.cfg.Layout.CgroupRoot, want)
	}
}

func TestRootStopSignal(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "quits.tar")
	ctrdtest.NeedRoot(t)
	ctrdtest.WriteOCI(t, archive, busyboxImage(t, func(i *ocispec.Image) { i.Config.StopSignal = "SIGQUIT" }))
	const line = "trap 'exit 11' QUIT; trap 'exit 12' USR1; trap 'exit 13' TERM; echo up; while :; do sleep 0.1; done"
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("image", spec.App, line), script("own", spec.App, line))
		r.run()
		for name, want := range map[string]uint32{"image": 11, "own": 12} {
			r.says(name, "up\n")
			stop := spec.Stop{Timeout: 20 * time.Second}
			if name == "own" {
				stop.Signal = "SIGUSR1"
			}
			if err := c.Stop(t.Context(), "g", name, stop); err != nil {
				t.Fatal(err)
			}
			if s := r.state(name); s.ExitStatus != want {
				t.Errorf("%s ended with status %d, want %d", name, s.ExitStatus, want)
			}
		}
	})
}

// A container that was created and never started is stopped and removed like any other, and at
// once.
func TestRootRemoveCreated(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("web", spec.App, "exit 0"), script("db", spec.App, "exit 0"))
		r.create()
		began := time.Now()
		if err := c.Stop(t.Context(), "g", "web", spec.Stop{Timeout: time.Hour}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 5*time.Minute {
			t.Errorf("took %v: the grace was waited for", took)
		}
		for _, name := range []string{"web", "db"} {
			if err := c.Remove(t.Context(), "g", name); err != nil {
				t.Error(err)
			}
		}
		r.nothing()
	})
}

// A shim that died takes its containers with it, sooner or later. Nothing of them stays.
func TestRootDeadShim(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("proxy", spec.Ambassador, "sleep 1000"), script("web", spec.App, "sleep 1000"))
		r.run()
		pid := r.state("web").PID
		if err := unix.Kill(r.parent(pid), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.eventually("the dead shim's tasks are not running", func() bool {
			for _, s := range r.states("") {
				if s.Task == host.TaskRunning {
					return false
				}
			}
			return true
		})
		for _, name := range []string{"web", "proxy"} {
			if err := c.Remove(t.Context(), "g", name); err != nil {
				t.Error(err)
			}
		}
		r.nothing()
		r.eventually("the program is gone", func() bool { return unix.Kill(int(pid), 0) == unix.ESRCH })
		r.run() // and the group comes up again
		for _, s := range r.states("g") {
			if s.Task != host.TaskRunning {
				t.Errorf("after another start: %+v", s)
			}
			if err := c.Remove(t.Context(), "g", s.Name); err != nil {
				t.Error(err)
			}
		}
	})
}

// All tasks of a shim are removed at the same time, and race with its end.
func TestRootRemoveAtOnce(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("proxy", spec.Ambassador, "sleep 1000"), script("ship", spec.Sidecar, "sleep 1000"), script("web", spec.App, "sleep 1000"))
		for range 3 {
			r.run()
			r.removeAll()
			r.nothing()
		}
	})
}

// After a removal that can't be finished the container is observed, and the next removal goes on.
func TestRootRemoveAgain(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("web", spec.App, "sleep 1000"))
		r.run()
		busy := filepath.Join(c.cfg.Layout.FilesPath("g", "web"), "busy")
		if err := os.MkdirAll(busy, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("busy", busy, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		if err := c.Remove(t.Context(), "g", "web"); err == nil {
			t.Error("removed, with a file that can't be")
		}
		if s := r.state("web"); s.Task != host.TaskNone {
			t.Errorf("it is %q", s.Task)
		}
		if err := unix.Unmount(busy, 0); err != nil {
			t.Fatal(err)
		}
		if err := c.Remove(t.Context(), "g", "web"); err != nil {
			t.Error(err)
		}
		r.nothing()
	})
}
