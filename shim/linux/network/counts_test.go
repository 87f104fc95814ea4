package network

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/shim/layout"
)

// The host's refusals are read once for all groups, and not at all for none.
func TestCountsReadTheHostOnce(t *testing.T) {
	reads := 0
	n := &Network{layout: layout.Layout{RunDir: t.TempDir()}, refused: func(sourcesFunc) (map[string][]uplink.Refusal, error) { reads++; return nil, nil }}
	var groups []string
	for i := range 200 {
		groups = append(groups, fmt.Sprint("g", i))
	}
	for i, c := range n.Counts(groups) {
		if !errors.Is(c.Err, os.ErrNotExist) {
			t.Errorf("%s: %v, want os.ErrNotExist", groups[i], c.Err)
		}
	}
	if n.Counts(nil); reads != 1 {
		t.Errorf("read %d times, want once", reads)
	}
}
