package spec

import "testing"

func TestPullOf(t *testing.T) {
	g := Group{Containers: []Container{
		{Image: "a:1", Pull: PullNever}, {Image: "a:1", Pull: PullAlways}, {Image: "a:1"},
		{Image: "b:1", Pull: PullNever}, {Image: "b:1"}, {Image: "c:1", Pull: PullNever},
	}}
	for image, want := range map[string]Pull{"a:1": PullAlways, "b:1": PullMissing, "c:1": PullNever} {
		if got := g.PullOf(image); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}
