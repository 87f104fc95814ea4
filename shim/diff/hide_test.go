package diff_test

import (
	"testing"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/spec"
)

// A change is hidden by what the text has, also for a container that for_each makes.
func TestHideByText(t *testing.T) {
	parts := map[string]bool{"g.web-*.env.TOKEN": true, "*.log.file./etc/log.d/*": true}
	for _, tt := range []struct {
		container, attribute string
		hidden               bool
	}{
		{"web-a", "env.TOKEN", true},
		{"web-a", "env.LEVEL", false},
		{"web", "env.TOKEN", false},
		{"log", "file /etc/log.d/key.content", true},
		{"log", "file /etc/log.d/key", true},
		{"log", "file /etc/log.conf", false},
	} {
		change := diff.Change{Container: tt.container, Attribute: tt.attribute, Kind: diff.Changed, Before: "x", Now: "y"}
		got := diff.Hide([]diff.Change{change}, parts, &spec.Group{Name: "g"})[0]
		if got.Sensitive != tt.hidden || (got.Before == diff.Hidden) != tt.hidden {
			t.Errorf("%s %s: %+v", tt.container, tt.attribute, got)
		}
	}
}
