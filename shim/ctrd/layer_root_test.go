package ctrd

import (
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// limitServerFiles sets how many files the private containerd may have open.
func limitServerFiles(t *testing.T, c *Client, most uint64) {
	t.Helper()
	conn, err := net.Dial("unix", c.cfg.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var server *unix.Ucred
	if err := errors.Join(raw.Control(func(fd uintptr) {
		server, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}), err); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(int(server.Pid), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
		t.Fatal(err)
	}
}

// containerd itself leaves such a layer on the disk, and reports success.
func TestRootALayerOfManyLevelsIsRemoved(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, busyboxArchive(t), script("web", spec.App, "sleep 1000"))
		limitServerFiles(t, c, 1000)
		r.run()
		snapshotter, err := c.snapshotter(r.ctx())
		if err != nil {
			t.Fatal(err)
		}
		mounts, err := c.client.SnapshotService(snapshotter).Mounts(r.ctx(), "g.web")
		if err != nil {
			t.Fatal(err)
		}
		layer := writableLayer(mounts)
		if _, err := os.Stat(layer); err != nil {
			t.Fatal(err)
		}
		at, err := unix.Open(layer, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 3000 {
			err := unix.Mkdirat(at, "d", 0o700)
			below, err2 := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err := errors.Join(err, err2, unix.Close(at)); err != nil {
				t.Fatal(err)
			}
			at = below
		}
		unix.Close(at)
		r.removeAll()
		c.collect(t)
		if _, err := os.Stat(layer); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the layer still exists: %v", err)
		}
	})
}
