package network

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// linkBytes returns how many bytes have crossed the group's link, out of the group and into it.
func (h *harness) linkBytes() (out, in uint64) {
	h.t.Helper()
	link := must(netlink.LinkByName(h.net.linkName(h.group.Name)))(h.t)
	stats := link.Attrs().Statistics
	return stats.RxBytes, stats.TxBytes
}

// sendBurst sends 3 MB in datagrams of 1000 bytes and returns how long that took. Datagrams above
// the rate are lost.
func sendBurst(t *testing.T, from *netnstest.Helper, to netip.AddrPort) time.Duration {
	t.Helper()
	udp := must(from.UDP(to.Addr()))(t)
	defer udp.Close()
	start := time.Now()
	for range 3000 {
		_ = udp.SendTo(to, strings.Repeat("x", 1000))
	}
	return time.Since(start)
}

// A rate limits the traffic of the link, in each direction separately. Without a rate all of it
// passes.
func TestRootRate(t *testing.T) {
	h := newHarness(t, withPublish)
	sink := h.sink()
	inside := must(h.ambassador.UDP(h.out.Addr4))(t)
	if err := inside.Bind(netip.MustParseAddrPort("0.0.0.0:53")); err != nil {
		t.Fatal(err)
	}
	front := netip.AddrPortFrom(h.out.Host4, 8053)
	const (
		rate = 800_000         // bits a second
		held = 8<<10 + 24<<10  // bytes that pass at once, and that wait
		all  = 3000 * 1000 / 2 // most of a burst
	)
	for _, tt := range []struct {
		name string
		rate spec.Rate
	}{
		{"none", spec.Rate{}},
		{"out", spec.Rate{Out: rate}},
		{"in", spec.Rate{In: rate}},
		{"both", spec.Rate{Out: rate, In: rate}},
		{"none again", spec.Rate{}},
	} {
		h.group.Ambassador().Rate = tt.rate
		bringUp(t, h.net, h.group)
		if got := h.net.Observe(t.Context(), h.group.Name, h.group).Link; got != host.Present {
			t.Errorf("%s: the link is %v", tt.name, got)
		}
		out, in := h.linkBytes()
		took := sendBurst(t, h.ambassador, sink) + sendBurst(t, h.remote, front)
		outNow, inNow := h.linkBytes()
		for direction, x := range map[string]struct {
			limit int64
			bytes uint64
		}{"out": {tt.rate.Out, outNow - out}, "in": {tt.rate.In, inNow - in}} {
			most := uint64(held + 2*rate/8*took.Seconds()) // twice the rate: a wide margin
			if x.limit != 0 && (x.bytes > most || x.bytes < held/4) {
				t.Errorf("%s: %d bytes went %s in %s, want at most %d", tt.name, x.bytes, direction, took, most)
			}
			if x.limit == 0 && x.bytes < all {
				t.Errorf("control, %s: only %d bytes went %s", tt.name, x.bytes, direction)
			}
		}
	}
}
