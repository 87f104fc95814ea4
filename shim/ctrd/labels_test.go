package ctrd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// The labels hold what was written into them.
func TestLabels(t *testing.T) {
	req := host.CreateRequest{
		Group:      &spec.Group{Name: "shop"},
		Container:  spec.Container{Name: "web", Role: spec.Sidecar, Digest: "sha256:c"},
		Image:      host.Image{Digest: "sha256:i"},
		Generation: 12,
	}
	want := host.ContainerState{Group: "shop", Name: "web", Role: spec.Sidecar, Digest: "sha256:c", ImageDigest: "sha256:i", Generation: 12, Lowered: "one\ntwo", Devices: "three"}
	labels := createLabels(req, "SIGQUIT", []string{"one", "two"}, []string{"three"})
	if diff := cmp.Diff(want, fromLabels(labels)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if labels[labelStopSignal] != "SIGQUIT" {
		t.Errorf("stop signal %q", labels[labelStopSignal])
	}
	if _, ok := createLabels(req, "", nil, nil)[labelStopSignal]; ok {
		t.Error("a stop signal that no image names")
	}
	if _, ok := createLabels(req, "", nil, nil)[labelLowered]; ok {
		t.Error("a limit was lowered that is none")
	}
	if got := fromLabels(map[string]string{labelGeneration: "x"}).Generation; got != 0 {
		t.Errorf("generation %d of a label that is no number", got)
	}
}

func TestGroupOf(t *testing.T) {
	if got := groupOf(spec.ID("shop", "web")); got != "shop" {
		t.Errorf("%q, want shop", got)
	}
}

// A label holds what containerd takes, however long the names of devices are.
func TestBoundLines(t *testing.T) {
	if got := boundLines([]string{"a", "b"}); got != "a\nb" {
		t.Errorf("%q", got)
	}
	long := strings.Repeat("x", 2000)
	if got := boundLines([]string{long, long, long}); got != long+"\nand 2 more" {
		t.Errorf("%d bytes: %.30q", len(got), got[max(0, len(got)-30):])
	}
}
