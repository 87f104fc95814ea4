package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteResultOnAScreen(t *testing.T) {
	var out strings.Builder
	w := &visibleWriter{w: &out, screen: screen{width: 60, color: true}}
	for _, r := range []result{
		{Name: "root", OK: true, Found: "yes"},
		{Name: "images", OK: true, Note: true, Found: "no group uses 2 images, which take 3GiB of the disk", Hint: `"sallyport images prune" removes them`},
		{Name: "containerd", Error: "no answer\nat all"},
	} {
		writeResult(w, r)
	}
	want := `<green>ok</>    root             yes
<yellow>note</>  images           no group uses 2 images, which take
                       3GiB of the disk
                       -> "sallyport images prune" removes
                       them
<red>FAIL</>  containerd       no answer; at all
`
	if diff := cmp.Diff(want, withTags(out.String())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
