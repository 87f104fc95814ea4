package netns_test

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// Reserved ports are those of one namespace. Each set replaces the one before, also a set of none
// and one that the kernel reads in several parts.
func TestRootReservePorts(t *testing.T) {
	netnstest.Root(t)
	ns, other := netnstest.NewNamespace(t), netnstest.NewNamespace(t)
	var many []uint16
	for p := uint16(10001); p < 20000; p += 2 {
		many = append(many, p)
	}
	for _, want := range []netns.Ports{netns.PortsOf(443, 8080, 8081), netns.PortsOf(many[:200]...), netns.PortsOf(many...), netns.PortsOf(53), nil, {{First: 1, Last: 65535}}} {
		if err := netns.ReservePorts(ns, want); err != nil {
			t.Fatal(err)
		}
		got, err := netns.ReservedPorts(ns)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("reserved %d ranges, %v; want %d", len(got), err, len(want))
		}
		if got, err := netns.ReservedPorts(other); err != nil || got != nil {
			t.Errorf("another namespace has %v, %v", got, err)
		}
	}
}
