package ctrd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/child"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
)

func TestRootChildServes(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		v, err := c.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(v, "1.6.") && !strings.HasPrefix(v, "1.7.") && !strings.HasPrefix(v, "2.") {
			t.Errorf("version %q", v)
		}
		if _, err := c.snapshotter(t.Context()); err != nil {
			t.Error(err)
		}
		// A private containerd keeps to the folders it was given.
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(c.cfg.Address), "containerd.log")); err != nil || strings.Contains(string(b), "/opt/containerd") {
			t.Errorf("log: %v\n%s", err, b)
		}
	})
}

func TestRootContainersOutliveTheirChild(t *testing.T) {
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		c, stop := startServer(t, binary)
		img := mustImage(t, c, archive.OCIPrefix+busyboxArchive(t))
		ctx, cancel := c.ctx(t.Context(), time.Minute)
		defer cancel()
		i, err := c.image(ctx, img)
		if err != nil {
			t.Fatal(err)
		}
		ctr, err := c.client.NewContainer(ctx, "sleeper",
			containerd.WithNewSnapshot("sleeper", i),
			containerd.WithNewSpec(oci.WithImageConfigArgs(i, []string{"sleep", "100"}), oci.WithCgroup(c.cfg.Layout.CgroupRoot)))
		if err != nil {
			t.Fatal(err)
		}
		task, err := ctr.NewTask(ctx, cio.NullIO)
		if err != nil {
			t.Fatal(err)
		}
		if err := task.Start(ctx); err != nil {
			t.Fatal(err)
		}
		pid := task.Pid()
		stop()
		if err := unix.Kill(int(pid), 0); err != nil {
			t.Errorf("the container's process: %v", err)
		}
		state := filepath.Dir(c.cfg.Address)
		next, err := child.New(child.Config{Root: filepath.Join(filepath.Dir(state), "root"), State: state, Binary: binary, Log: ctrdtest.Log(t)})
		if err != nil {
			t.Fatal(err)
		}
		runChild(t, next)
		t.Cleanup(func() { sweep(t, c) })
		again, err := c.client.LoadContainer(ctx, "sleeper")
		if err != nil {
			t.Fatal(err)
		}
		same, err := again.Task(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := same.Status(ctx); err != nil || st.Status != containerd.Running || same.Pid() != pid {
			t.Errorf("status %v, pid %d (was %d), %v", st, same.Pid(), pid, err)
		}
	})
}
