package life

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sync/errgroup"
)

// A floor does by plain client calls the least that a group of three needs: three containers of one
// image, in one network namespace and one shim, created together and started in order. It has no
// rules, no files and no supervision.
type floor struct {
	client *containerd.Client
	image  containerd.Image
	netns  string
	ctx    context.Context
	logs   string
	tasks  [3]containerd.Task
}

func newFloor(t testing.TB, address, namespace, netnsPath string) *floor {
	t.Helper()
	c, err := containerd.New(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endShims(t, address); c.Close() })
	ctx := namespaces.WithNamespace(t.Context(), namespace)
	images, err := c.ListImages(ctx)
	if err != nil || len(images) == 0 {
		t.Fatalf("no image to measure with: %v", err)
	}
	return &floor{client: c, image: images[0], netns: netnsPath, ctx: ctx, logs: t.TempDir()}
}

// endShims ends the floor's shims that no client reaches, see [floor.up].
func endShims(t testing.TB, address string) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		line, _ := os.ReadFile(path) // it may have ended
		args := strings.Split(string(line), "\x00")
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if strings.Contains(args[0], "containerd-shim") && slices.Contains(args, address) && slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "floor.") }) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Log(err)
			}
		}
	}
}

// shimListens is how long a shim takes to listen here.
const shimListens = 15 * time.Millisecond

func (f *floor) up() error {
	var together errgroup.Group
	for i := range f.tasks {
		together.Go(func() (err error) {
			// Shims of one group that start at once race for its socket, and one that no client
			// reaches may stay behind. So the others wait until the first listens. One that still
			// loses tries again.
			if i > 0 {
				time.Sleep(shimListens)
			}
			for range 5 {
				if f.tasks[i], err = f.create(fmt.Sprintf("floor.%d", i)); err == nil {
					break
				}
			}
			return err
		})
	}
	if err := together.Wait(); err != nil {
		return err
	}
	for _, task := range f.tasks {
		if err := task.Start(f.ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *floor) create(id string) (containerd.Task, error) {
	c, err := f.client.NewContainer(f.ctx, id,
		containerd.WithImage(f.image),
		containerd.WithNewSnapshot(id, f.image),
		containerd.WithNewSpec(
			oci.WithImageConfig(f.image),
			oci.WithProcessArgs("/bin/sleep", "1000"),
			oci.WithCgroup("/sallyport-floor/"+id),
			oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: f.netns}),
			oci.WithAnnotations(map[string]string{"io.containerd.runc.v2.group": "floor"}),
		))
	if err != nil {
		return nil, err
	}
	task, err := c.NewTask(f.ctx, cio.LogFile(filepath.Join(f.logs, id)))
	if err != nil {
		return nil, errors.Join(err, c.Delete(f.ctx, containerd.WithSnapshotCleanup))
	}
	return task, nil
}

func (f *floor) down() error {
	for _, task := range f.tasks {
		ended, err := task.Wait(f.ctx)
		if err != nil {
			return err
		}
		if err := task.Kill(f.ctx, syscall.SIGKILL); err != nil {
			return err
		}
		<-ended
		if _, err := task.Delete(f.ctx); err != nil {
			return err
		}
		c, err := f.client.LoadContainer(f.ctx, task.ID())
		if err != nil {
			return err
		}
		if err := c.Delete(f.ctx, containerd.WithSnapshotCleanup); err != nil {
			return err
		}
	}
	return nil
}
