package ctrd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/child"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// If a call was cut off and containerd has lost a task, the container can be made again, and be
// removed wholly. The lost program has ended by then.
func TestRootLeftover(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		lose func(t *testing.T, r *harness, s *server)
	}{
		{"the shim has deleted what containerd has not", func(t *testing.T, r *harness, s *server) {
			if err := r.c.removeInShim(r.ctx(), "g", "g.web"); err != nil {
				t.Fatal(err)
			}
			_, err := r.c.client.TaskService().Create(r.ctx(), &tasks.CreateTaskRequest{ContainerID: "g.web"})
			if !errdefs.IsAlreadyExists(errgrpc.ToNative(err)) {
				t.Errorf("it isn't in the way: %v", err)
			}
		}},
		{"a bundle and its program, unknown to containerd", func(t *testing.T, r *harness, s *server) {
			s.forget("g.web", true)
		}},
		{"a program without a bundle", func(t *testing.T, r *harness, s *server) {
			s.forget("g.web", false)
		}},
		{"a bundle and its program, unknown also to the shim", func(t *testing.T, r *harness, s *server) {
			shimPid := r.parent(r.state("web").PID)
			s.forgetting("g.web", true, func() {
				_ = unix.Kill(shimPid, unix.SIGKILL)
				r.eventually("the shim is gone", func() bool { return !r.c.shimListens("g") })
			})
		}},
		{"an empty bundle", func(t *testing.T, r *harness, s *server) {
			bundle := r.c.leftover("g.web").bundle
			r.removeAll()
			if err := os.Mkdir(bundle, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"a bundle whose root file system, unmounted, has mount points", func(t *testing.T, r *harness, s *server) {
			bundle := r.c.leftover("g.web").bundle
			r.removeAll()
			if err := os.MkdirAll(filepath.Join(bundle, "rootfs", "dev", "pts"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(bundle, "rootfs", "resolv.conf"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	}
	archive := busyboxArchive(t)
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel() // most of it is waiting, on a containerd of its own
				s := newServer(t, binary)
				r := newHarness(t, s.client, archive, script("web", spec.App, "sleep 1000"), script("ship", spec.Sidecar, "sleep 1000"))
				r.run()
				lost := r.state("web").PID
				tt.lose(t, r, s)
				if p, err := r.c.process(r.ctx(), "g.web"); p != nil || err != nil {
					t.Fatalf("containerd knows of %v (%v), so this proves nothing", p, err)
				}
				began := time.Now()
				if err := r.c.Create(t.Context(), r.request("web")); err != nil {
					t.Fatal(err)
				}
				t.Logf("made again after %v", time.Since(began).Round(10*time.Millisecond))
				r.eventually("the program of before is gone", func() bool { return unix.Kill(int(lost), 0) == unix.ESRCH })
				r.start("web")
				r.removeAll()
				r.nothing()
				r.noLeftovers()
			})
		}
	})
}

// What is mounted as a bundle's root file system keeps its files. An attempt that was cut off
// before is no hindrance.
func TestRootRemoveBundle(t *testing.T) {
	dir := ctrdtest.ShortDir(t)
	kept, bundle := filepath.Join(dir, "kept", "file"), filepath.Join(dir, "g.web")
	rootfs := filepath.Join(bundle, "rootfs")
	for _, folder := range []string{filepath.Dir(kept), filepath.Join(rootfs, "proc"), filepath.Join(bundle, "unmounted", "proc")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // one over the other
		if err := unix.Mount(filepath.Dir(kept), rootfs, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeBundle(bundle); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(bundle); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the bundle is still there: %v", err)
	}
}

// If containerd's own folders can't be known, the hint is to restart containerd, and that helps.
func TestRootLeftoverUnseen(t *testing.T) {
	t.Parallel()
	archive := busyboxArchive(t)
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		s := newServer(t, binary)
		r := newHarness(t, s.client, archive, script("web", spec.App, "sleep 1000"), script("ship", spec.Sidecar, "sleep 1000"))
		r.run()
		ship := r.state("ship").PID
		s.forget("g.web", true)

		link := filepath.Join(ctrdtest.ShortDir(t), "c.sock") // a socket that is not beside them
		if err := os.Symlink(s.client.cfg.Address, link); err != nil {
			t.Fatal(err)
		}
		far, err := New(Config{Address: link, Layout: s.client.cfg.Layout, Log: ctrdtest.Log(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		err = far.Create(t.Context(), r.request("web"))
		var p *hint.Error
		if !errors.As(err, &p) || p.Hint == "" {
			t.Fatalf("no problem with a hint: %v", err)
		}
		t.Logf("%v; %s", p, p.Hint)
		s.restart()
		if err := far.Create(t.Context(), r.request("web")); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		if now := r.state("ship"); now.PID != ship || now.Task != host.TaskRunning {
			t.Errorf("the other was process %d, and is %+v", ship, now)
		}
		r.removeAll()
		r.noLeftovers()
	})
}

// A container of the same name that another containerd runs is no leftover.
func TestRootLeftoverOfAnother(t *testing.T) {
	t.Parallel()
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("web", spec.App, "sleep 1000"))
		r.run()
		other := &Client{cfg: c.cfg}
		other.cfg.Address = "/run/another/containerd.sock"
		if s := other.leftover("g.web"); s != nil {
			t.Errorf("took for its own: %v", s)
		}
		if s := c.leftover("g.web"); s == nil || s.runtime == "" {
			t.Errorf("its own is %+v", s)
		}
		r.removeAll()
		r.noLeftovers()
	})
}

// A shim without a task that was not asked to end is ended with the last container.
func TestRootIdleShim(t *testing.T) {
	t.Parallel()
	archive := busyboxArchive(t)
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		s := newServer(t, binary)
		r := newHarness(t, s.client, archive, script("web", spec.App, "sleep 1000"))
		r.run()
		if err := r.c.removeInShim(r.ctx(), "g", "g.web"); err != nil {
			t.Fatal(err)
		}
		s.forget("g.web", false)
		if !r.c.shimListens("g") {
			t.Fatal("the shim has ended by itself, so this proves nothing")
		}
		r.removeAll()
		r.nothing()
		r.noLeftovers()
	})
}

// noLeftovers fails the test if anything is left that containerd doesn't know, or a shim.
func (r *harness) noLeftovers() {
	r.Helper()
	for _, c := range r.group.Containers {
		if s := r.c.leftover(spec.ID("g", c.Name)); s != nil {
			r.Errorf("%s: %v", c.Name, s)
		}
	}
	r.eventually("the shim ends", func() bool { return !r.c.shimListens("g") })
}

// A server is a private containerd that a test stops and starts.
type server struct {
	t      *testing.T
	cfg    child.Config
	client *Client
	stop   func()
}

func newServer(t *testing.T, binary string) *server {
	t.Helper()
	dir := ctrdtest.ShortDir(t)
	s := &server{t: t, cfg: child.Config{Root: filepath.Join(dir, "root"), State: filepath.Join(dir, "state"), Binary: binary, Log: ctrdtest.Log(t)}}
	s.start()
	c, err := New(Config{Address: filepath.Join(s.cfg.State, "containerd.sock"), Layout: testLayout(t, dir), Log: ctrdtest.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	s.client = c
	c.leftoverAfter, c.shimAnswers = 2*time.Second, time.Second
	t.Cleanup(func() {
		sweep(t, c)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) start() {
	s.t.Helper()
	child, err := child.New(s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.stop = runChild(s.t, child)
}

func (s *server) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// forget makes containerd lose a task: it finds no bundle when it starts. Afterwards the bundle is
// back, or not.
func (s *server) forget(id string, bundle bool) {
	s.t.Helper()
	s.forgetting(id, bundle, func() {})
}

// forgetting does something more while containerd is away.
func (s *server) forgetting(id string, bundle bool, meanwhile func()) {
	s.t.Helper()
	path := s.client.leftover(id).bundle
	away := filepath.Join(s.cfg.State, "away")
	s.stop()
	if err := os.Rename(path, away); err != nil {
		s.t.Fatal(err)
	}
	meanwhile()
	s.start()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for _, err := s.client.Version(ctx); err != nil; _, err = s.client.Version(ctx) {
		if pause(ctx, lookAgain) != nil {
			s.t.Fatal(err)
		}
	}
	if bundle {
		if err := os.Rename(away, path); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	if err := removeBundle(away); err != nil {
		s.t.Fatal(err)
	}
}
