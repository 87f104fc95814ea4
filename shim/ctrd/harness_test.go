package ctrd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
)

// newestEnv names the folder with the newest containerd and its shim; make sets it.
const newestEnv = "SALLYPORT_CONTAINERD_NEWEST"

// eachServer runs f against the oldest containerd we support, the distribution's, and against the newest, each a private
// one of its own with a layout in a temporary folder. Whatever f leaves running, mounted or in a cgroup is taken away.
func eachServer(t *testing.T, f func(t *testing.T, c *Client)) {
	t.Helper()
	eachBinary(t, func(t *testing.T, binary string) {
		c, _ := startServer(t, binary)
		f(t, c)
	})
}

// eachBinary runs f with the path of each containerd to test against.
func eachBinary(t *testing.T, f func(t *testing.T, binary string)) {
	t.Helper()
	needRoot(t)
	t.Run("distribution", func(t *testing.T) {
		path, err := exec.LookPath("containerd")
		if err != nil {
			missing(t, "containerd is not installed")
		}
		f(t, path)
	})
	t.Run("newest", func(t *testing.T) {
		dir := os.Getenv(newestEnv)
		if dir == "" {
			missing(t, newestEnv+" is not set")
		}
		f(t, filepath.Join(dir, "containerd"))
	})
}

// needRoot skips on a laptop and fails in CI.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "needs root")
	}
}

// missing skips a test that lacks something, and fails it where everything must be there.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// startServer starts a private containerd and gives a client of it, with a function that ends the server early. Its log
// is shown if the test fails.
func startServer(t testing.TB, binary string) (c *Client, stop func()) {
	t.Helper()
	dir := shortDir(t)
	cfg := ChildConfig{Root: filepath.Join(dir, "root"), State: filepath.Join(dir, "state"), Binary: binary, Log: testLog(t)}
	child, err := NewChild(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop = runChild(t, child)
	c, err = New(Config{Address: child.Address(), Layout: testLayout(t, dir), Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sweep(t, c)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, stop
}

// runChild runs a private containerd until the test ends, or stop is called, and returns when it serves.
func runChild(t testing.TB, child *Child) (stop func()) {
	t.Helper()
	// Not the test's own context: that one ends before the clean-ups that need the server.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- child.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("private containerd: %v", err)
		}
		if b, err := os.ReadFile(child.path("containerd.log")); err == nil && t.Failed() {
			t.Logf("log of %s:\n%s", child.binary, b)
		}
	}
	t.Cleanup(stop)
	rctx, rcancel := context.WithTimeout(ctx, 20*time.Second)
	defer rcancel()
	if err := child.Ready(rctx); err != nil {
		t.Fatal(err)
	}
	return stop
}

var testNumber atomic.Int64

// testLayout is a layout that no other test and no real instance shares.
func testLayout(t testing.TB, dir string) shim.Layout {
	t.Helper()
	name := fmt.Sprintf("sallyport-test-%d-%d", os.Getpid(), testNumber.Add(1))
	t.Cleanup(func() { removeCgroups(t, name) })
	return shim.Layout{
		GroupsDir:  filepath.Join(dir, "groups.d"),
		RunDir:     filepath.Join(dir, "run"),
		StateDir:   filepath.Join(dir, "lib"),
		LogDir:     filepath.Join(dir, "log"),
		CgroupRoot: "/" + name,
		Table:      name,
		Prefix4:    "10.209.0.0/16",
		Prefix6:    "fd5a:11e0:9027::/64",
		Namespace:  name,
	}
}

// shortDir is like t.TempDir, with a path short enough for sockets below it; what is mounted in it is unmounted first.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
		if err != nil {
			t.Error(err)
		}
		for _, m := range slices.Backward(mounts) {
			if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", m.Mountpoint, err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// sweep ends and deletes what a test left in its namespace, then any shim that still serves the test's containerd.
func sweep(t testing.TB, c *Client) {
	t.Helper()
	ctx, cancel := c.ctx(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	if left, err := c.client.Containers(ctx); err == nil {
		for _, ctr := range left {
			if task, err := ctr.Task(ctx, nil); err == nil {
				if _, err := task.Delete(ctx, containerd.WithProcessKill); err != nil {
					t.Logf("sweep %s: %v", ctr.ID(), err)
				}
			}
			if err := ctr.Delete(ctx, containerd.WithSnapshotCleanup); err != nil {
				t.Logf("sweep %s: %v", ctr.ID(), err)
			}
		}
	}
	killShims(t, c.cfg.Address)
}

// killShims kills the shims that report to the containerd at this address, which is theirs alone.
func killShims(t testing.TB, address string) {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		b, err := os.ReadFile(p)
		args := strings.Split(string(b), "\x00")
		if err != nil || !strings.HasPrefix(filepath.Base(args[0]), "containerd-shim-") || !slices.Contains(args, address) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p)))
		if err == nil {
			t.Logf("kill left-over shim %d", pid)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// removeCgroups removes the tree called name in every hierarchy, the deepest first.
func removeCgroups(t testing.TB, name string) {
	t.Helper()
	var roots []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		found, err := filepath.Glob(pattern + name)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, found...)
	}
	for _, root := range roots {
		var dirs []string
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		for _, dir := range slices.Backward(dirs) {
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				t.Errorf("remove cgroup %s: %v", dir, err)
			}
		}
	}
}

// testLog writes into the test's own log.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", strings.TrimRight(string(b), "\n"))
	return len(b), nil
}
