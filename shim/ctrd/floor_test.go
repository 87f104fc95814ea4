package ctrd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// BenchmarkFloor times a group of three busybox containers that are created at once and started in
// order. It compares our Runtime with plain client calls, in turn. These are the floor: once with
// containerd's default spec, which has no seccomp filter, and once with our spec. It reports the
// medians and their ratios.
func BenchmarkFloor(b *testing.B) {
	ctrdtest.NeedRoot(b)
	distribution, err := exec.LookPath("containerd")
	if err != nil {
		ctrdtest.Missing(b, "containerd is not installed")
	}
	servers := map[string]string{"distribution": distribution}
	if dir := os.Getenv(ctrdtest.NewestEnv); dir != "" {
		servers["newest"] = filepath.Join(dir, "containerd")
	}
	for name, binary := range servers {
		b.Run(name, func(b *testing.B) {
			c, _ := startServer(b, binary)
			r := newHarness(b, c, busyboxArchive(b),
				script("proxy", spec.Ambassador, "sleep 1000"), script("ship", spec.Sidecar, "sleep 1000"), script("web", spec.App, "sleep 1000"))
			var ours, floor, same []time.Duration
			for b.Loop() {
				ours = append(ours, r.timeOurs())
				floor = append(floor, r.timeFloor(r.plainSpec)...)
				same = append(same, r.timeFloor(r.ourSpec)...)
			}
			b.ReportMetric(0, "ns/op") // a mean of all three has no meaning
			b.ReportMetric(ms(median(ours)), "ours-ms")
			b.ReportMetric(ms(median(floor)), "floor-ms")
			b.ReportMetric(ms(median(same)), "same-spec-ms")
			b.ReportMetric(float64(median(ours))/float64(median(floor)), "ratio")
			b.ReportMetric(float64(median(ours))/float64(median(same)), "same-spec-ratio")
		})
	}
}

func (r *harness) timeOurs() time.Duration {
	began := time.Now()
	r.run()
	took := time.Since(began)
	r.removeAll()
	return took
}

// timeFloor does the same as run, with nothing but the client. withSpec returns the spec for the
// container of an id. It returns no times if two shims were started at once and one failed, as
// happens without shimStarts.
func (r *harness) timeFloor(withSpec func(image containerd.Image, c spec.Container, id string) containerd.NewContainerOpts) []time.Duration {
	client, l := r.c.client, r.c.cfg.Layout
	image, err := r.c.image(r.Context(), r.image)
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := r.c.ctx(r.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	tasks := make([]containerd.Task, len(r.group.Containers))
	var g errgroup.Group
	for i, c := range r.group.Containers {
		g.Go(func() error {
			id := floorID(i)
			ctr, err := client.NewContainer(ctx, id, containerd.WithImage(image), containerd.WithNewSnapshot(id, image), withSpec(image, c, id))
			if err != nil {
				return err
			}
			tasks[i], err = ctr.NewTask(ctx, cio.LogFile(l.LogPath("g", id)))
			return err
		})
	}
	err = g.Wait()
	for _, t := range tasks {
		if err == nil {
			err = t.Start(ctx)
		}
	}
	took := time.Since(began)
	for i := range tasks {
		r.removeFloor(ctx, floorID(i))
	}
	if err != nil {
		r.Logf("no time for the floor: %v", err)
		return nil
	}
	return []time.Duration{took}
}

func floorID(i int) string { return "floor-" + strconv.Itoa(i) }

func (r *harness) removeFloor(ctx context.Context, id string) {
	if err := r.c.removeTask(ctx, "g", id); err != nil {
		r.Fatal(err)
	}
	ctr, err := r.c.client.LoadContainer(ctx, id)
	if err != nil {
		r.Fatal(err)
	}
	if err := ctr.Delete(ctx, containerd.WithSnapshotCleanup); err != nil {
		r.Fatal(err)
	}
}

// plainSpec is containerd's default spec with the fewest options that work.
func (r *harness) plainSpec(image containerd.Image, c spec.Container, id string) containerd.NewContainerOpts {
	l := r.c.cfg.Layout
	return containerd.WithNewSpec(oci.WithImageConfig(image), oci.WithProcessArgs(c.Command...),
		oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: l.NetnsPath("g")}),
		oci.WithCgroup(l.CgroupPath("g", c.Role, id)),
		oci.WithAnnotations(map[string]string{"io.containerd.runc.v2.group": "floor"}))
}

// ourSpec is the spec that Create would give the container, without the files.
func (r *harness) ourSpec(_ containerd.Image, c spec.Container, id string) containerd.NewContainerOpts {
	c.Name = id
	facts, err := r.c.facts(r.Context(), r.image)
	if err != nil {
		r.Fatal(err)
	}
	record, err := r.c.record(r.Context(), host.CreateRequest{Group: r.group, Container: c, Image: r.image}, facts, nil, "")
	if err != nil {
		r.Fatal(err)
	}
	return func(_ context.Context, _ *containerd.Client, c *containers.Container) error {
		c.Spec = record.Spec
		return nil
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
