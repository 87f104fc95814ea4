package network

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/shim/layout"
)

// A refusal of the host is told again when its counts are those of an earlier one that the kernel
// has forgotten meanwhile, and only then.
func TestRefusedByHostOnceMore(t *testing.T) {
	n := &Network{layout: layout.Layout{RunDir: t.TempDir()}}
	left := time.Hour
	n.arm = func(bool) (refusedByHost, error) {
		return refusedByHost{map[string][]uplink.Refusal{n.linkName("shop"): {{
			Protocol: 6, Destination: netip.MustParseAddrPort("192.0.2.1:80"), Counter: ruleset.Counter{Packets: 1, Bytes: 60}, Expires: left,
		}}}, ruleset.Armed}, nil
	}
	for _, tt := range []struct {
		name string
		left time.Duration
		want int
	}{
		{"the first", time.Hour, 1},
		{"the same, a minute later", 59 * time.Minute, 0},
		{"another with the same counts", time.Hour, 1},
		{"the same at once", time.Hour, 0},
	} {
		left = tt.left
		changed, _, err := n.RefusedByHost([]string{"shop", "other"})
		if err != nil || len(changed) != tt.want {
			t.Errorf("%s: changed %q, %v, want %d", tt.name, changed, err, tt.want)
		}
	}
}
