package uplink

import (
	"os/exec"
	"testing"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// A change of another table does not count. A change of our table is seen.
func TestRootUnchanged(t *testing.T) {
	netnstest.Root(t)
	u := newUplink(t, "sallyport")
	one, two := entries()
	for _, tt := range []struct {
		name, command string
		known         bool
	}{
		{"nothing", "", true},
		{"another's table", "add table inet theirs; delete table inet theirs", true},
		{"an entry's address", "delete element inet sallyport source4 { \"sp-one\" . 10.209.0.1 }", false},
		{"a published port", "flush map inet sallyport publish4", false},
		{"a rule", "insert rule inet sallyport from_groups accept", false},
		{"everything", "flush ruleset", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			put(t, u, one, two)
			if known, _, err := u.Unchanged(); err != nil || !known {
				t.Fatalf("known before: %v, %v", known, err)
			}
			if tt.command != "" {
				if out, err := exec.Command("nft", tt.command).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			if known, _, err := u.Unchanged(); err != nil || known != tt.known {
				t.Errorf("known: %v, %v; want %v", known, err, tt.known)
			}
		})
	}
	drop(t, u)
}
