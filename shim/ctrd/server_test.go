package ctrd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/child"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/layout"
)

// eachServer runs f with the oldest containerd that we support, the distribution's, and with the
// newest. Each is a private one with a layout in a temporary folder. What f leaves running, mounted
// or in a cgroup is removed.
func eachServer(t *testing.T, f func(t *testing.T, c *Client)) {
	t.Helper()
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		c, _ := startServer(t, binary)
		f(t, c)
	})
}

// startServer starts a private containerd, and returns a client of it and a function that ends the
// server early. It shows the server's log if the test fails.
func startServer(t testing.TB, binary string) (c *Client, stop func()) {
	t.Helper()
	dir := ctrdtest.ShortDir(t)
	cfg := child.Config{Root: filepath.Join(dir, "root"), State: filepath.Join(dir, "state"), Binary: binary, Log: ctrdtest.Log(t)}
	private, err := child.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop = runChild(t, private)
	c, err = New(Config{Address: private.Address(), Layout: testLayout(t, dir), Log: ctrdtest.Log(t)})
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

// runChild runs a private containerd until the test ends, or stop is called. It returns once the
// containerd serves.
func runChild(t testing.TB, private *child.Child) (stop func()) {
	t.Helper()
	// The test's own context ends before the clean-ups that need the server.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- private.Run(ctx) }()
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
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(private.Address()), "containerd.log")); err == nil && t.Failed() {
			t.Logf("log of %s:\n%s", private.Address(), b)
		}
	}
	t.Cleanup(stop)
	rctx, rcancel := context.WithTimeout(ctx, time.Minute)
	defer rcancel()
	if err := private.Ready(rctx); err != nil {
		t.Fatal(err)
	}
	return stop
}

var testNumber atomic.Int64

// testLayout is a layout that no other test and no real instance shares.
func testLayout(t testing.TB, dir string) layout.Layout {
	t.Helper()
	name := fmt.Sprintf("sallyport-test-%d-%d", os.Getpid(), testNumber.Add(1))
	t.Cleanup(func() { removeCgroups(t, name) })
	return layout.Layout{
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

// sweep ends and deletes what a test left in its namespace, and then each shim that still serves
// the test's containerd.
func sweep(t testing.TB, c *Client) {
	t.Helper()
	ctx, cancel := c.ctx(context.WithoutCancel(t.Context()), time.Minute)
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
	ctrdtest.KillShims(t, c.cfg.Address)
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
