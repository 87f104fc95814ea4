package volumes_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Only ephemeral volumes are in memory.
func TestRootInMemory(t *testing.T) {
	v, l := newVolumes(t)
	for _, vol := range []spec.Volume{{Name: "spool", Size: 1 << 20}, {Name: "data", Persistent: true}} {
		ensure(t, v, vol)
	}
	writeFile(t, filepath.Join(l.VolumePath("g", "spool"), "f"), strings.Repeat("x", 64<<10))
	got, err := v.InMemory()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Inodes < 2 { // some kernels count attributes as well
		t.Fatalf("in memory are %+v", got)
	}
	got[0].Inodes = 0
	want := []host.Consumer{{Kind: host.MemoryConsumer, Group: "g", Volume: "spool", Path: l.VolumePath("g", "spool"), Bytes: 64 << 10}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in memory (-want +got):\n%s", diff)
	}
}
