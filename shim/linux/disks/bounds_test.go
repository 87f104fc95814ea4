package disks

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

const mib = 1 << 20

// noLimits are limits of cgroups that are always as they are.
type noLimits host.Presence

func (p noLimits) Limited(context.Context, *spec.Group) host.Presence { return host.Presence(p) }
func (p noLimits) Limit(context.Context, *spec.Group) error           { return nil }

// bounded is a group with a bounded container and a bounded volume, and others of both.
func bounded() *spec.Group {
	return &spec.Group{
		Name:       "g",
		Containers: []spec.Container{{Name: "free"}, {Name: "web", Resources: spec.Resources{Disk: mib}}},
		Volumes: []spec.Volume{
			{Name: "data", Persistent: true, Size: 2 * mib}, {Name: "free", Persistent: true}, {Name: "memory", Size: mib},
			{Name: "not there yet", Persistent: true, Size: mib},
		},
	}
}

// newTestBounds returns bounds of the layers and volumes below a folder, of the group bounded.
func newTestBounds(t *testing.T, dir string) *Bounds {
	t.Helper()
	l := layout.Layout{StateDir: filepath.Join(dir, "state")}
	var layers []host.Layer
	for _, name := range []string{"free", "web", "removed"} {
		layer := host.Layer{Group: "g", Container: name, Path: filepath.Join(dir, name, "fs"), Work: filepath.Join(dir, name, "work")}
		if name != "removed" {
			write(t, filepath.Join(layer.Path, "etc", "file"), mib/2)
			if err := os.Mkdir(layer.Work, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		layers = append(layers, layer)
	}
	write(t, filepath.Join(l.PersistentPath("g", "data"), "file"), mib)
	write(t, filepath.Join(l.PersistentPath("g", "free"), "file"), mib)
	return NewBounds(l, noLimits(host.Present), func(context.Context, string) ([]host.Layer, error) { return layers, nil })
}

func boundsOf(t *testing.T, b *Bounds) []host.Bound {
	t.Helper()
	all, err := b.Look(t.Context(), bounded())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSoftBounds(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "sallyport-test-") // memory has no project quotas
	if err != nil {
		t.Skip("needs a folder in memory")
	}
	defer os.RemoveAll(dir)
	b := newTestBounds(t, dir)
	const soft = "its file system has no project quotas"
	want := []host.Bound{
		{Container: "web", Path: filepath.Join(dir, "web", "fs"), Size: mib, Used: mib / 2, Files: 3, Soft: soft},
		{Volume: "data", Path: filepath.Join(dir, "state", "volumes", "g", "data"), Size: 2 * mib, Used: mib, Files: 2, Soft: soft},
	}
	if diff := cmp.Diff(want, boundsOf(t, b), cmpopts.IgnoreFields(host.Bound{}, "At")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := b.Limited(t.Context(), bounded()); got != host.Present {
		t.Errorf("nothing can be done about them, and they are %d", got)
	}
	if err := b.Limit(t.Context(), bounded()); err != nil {
		t.Error(err)
	}
	b.layers = func(context.Context, string) ([]host.Layer, error) { return nil, errors.New("no answer") }
	if got := b.Limited(t.Context(), bounded()); got != host.Unknown {
		t.Errorf("without an answer they are %d", got)
	}
	if _, err := b.Look(t.Context(), bounded()); err == nil {
		t.Error("a look without an answer")
	}
	b.Limits = noLimits(host.Absent)
	if got := b.Limited(t.Context(), bounded()); got != host.Absent {
		t.Errorf("other limits are missing, and they are %d", got)
	}
}

// Counting takes at most 2 % of the time.
func TestSoftBoundsAreCountedSeldom(t *testing.T) {
	b := newTestBounds(t, t.TempDir())
	now := time.Unix(1_700_000_000, 0)
	b.now = func() time.Time { now = now.Add(500 * time.Millisecond); return now } // each call takes that long
	file := filepath.Join(b.layout.PersistentPath("g", "data"), "more")
	first := boundsOf(t, b)[1]
	write(t, file, mib)
	if again := boundsOf(t, b)[1]; again != first {
		t.Errorf("counted again at once: %+v, before %+v", again, first)
	}
	now = first.At.Add(countShare * 500 * time.Millisecond)
	if again := boundsOf(t, b)[1]; again.Used < first.Used+mib || !again.At.After(first.At) {
		t.Errorf("not counted again: %+v, before %+v", again, first)
	}
}

// The links of a file share what it takes.
func TestLinksAreCountedOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), mib)
	for _, name := range []string{"a", "b", "c"} {
		if err := os.Link(filepath.Join(dir, "file"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if bytes, inodes, _ := measure(t.Context(), dir, nil); bytes < mib || bytes > mib+mib/4 || inodes != 5 {
		t.Errorf("%d bytes in %d files", bytes, inodes)
	}
}
