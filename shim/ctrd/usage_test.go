package ctrd

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What two images share is counted once, however many names refer to it.
func TestDivide(t *testing.T) {
	parts := map[string]part{
		"one": {1, []string{"base", "top1", "absent"}}, "top1": {10, []string{"base"}},
		"two": {2, []string{"base", "top2"}}, "top2": {20, []string{"base", "two"}}, // a circle
		"base": {100, []string{"layer base"}}, "layer base": {1000, nil},
		"lone": {10000, []string{"lone"}}, "left": {5, nil},
	}
	sizes, shared, other := divide(parts, []string{"one", "two", "lone", "gone"})
	want := map[string]imageSize{
		"one": {11, 1100, []string{"base", "layer base", "one", "top1"}}, "two": {22, 1100, []string{"base", "layer base", "top2", "two"}},
		"lone": {10000, 0, []string{"lone"}}, "gone": {},
	}
	if diff := cmp.Diff(want, sizes, cmp.AllowUnexported(imageSize{})); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
	if shared != 1100 || other != 5 {
		t.Errorf("shared %d, other %d", shared, other)
	}
	var sum uint64
	for _, s := range sizes {
		sum += s.own
	}
	if whole := sum + shared + other; whole != 11138 {
		t.Errorf("all together are %d bytes, and there are 11138", whole)
	}
}

func TestForPeople(t *testing.T) {
	if forPeople("z:1", "a@sha256:1") >= 0 || forPeople("a:1", "b:1") >= 0 {
		t.Error("a name with a digest goes before one without")
	}
}
