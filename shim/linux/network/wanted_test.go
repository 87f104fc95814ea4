package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns/addrs"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/reach"
	"github.com/sallyport/sallyport/spec"
)

// If the kernel does not know an expression, the hint names what the group uses beyond the plain
// rules.
// No other setting of a namespace than those of the list is ever written.
func TestSettingsOf(t *testing.T) {
	want := &spec.Group{Network: spec.Network{Sysctls: map[string]string{
		"net.core.somaxconn": "4096", "net.ipv4.tcp_rmem": "4096 5000 6000", "net.ipv4.ip_forward": "1", "net.ipv4.ping_group_range": "0 0", "kernel.shmmax": "1",
	}}}
	got := settingsOf(want)
	if len(got) != 2 || got["core/somaxconn"] != "4096" || got["ipv4/tcp_rmem"] != "4096 5000 6000" {
		t.Errorf("settings %v, want core/somaxconn and ipv4/tcp_rmem alone", got)
	}
}

// Each address of an allow list can be pinged, on both sides of the link. Without a list, without
// the sysctl, and without a door there is nothing to add.
func TestEchoes(t *testing.T) {
	pinging := func(g *spec.Group) {
		a := g.Ambassador()
		a.PingGroups = "0 99"
		a.Allow = []spec.Allow{{Prefix: "192.0.2.0/24", Port: 443, Protocol: "tcp"}, {Prefix: "2001:db8::1/128", Protocol: "udp"}}
	}
	for name, tt := range map[string]struct {
		group *spec.Group
		want  []string
		pings bool
	}{
		"allowed":         {testGroup("g", pinging), []string{"192.0.2.0/24 tcp 443", "2001:db8::1/128 udp 0", "192.0.2.0/24 icmp 0", "2001:db8::1/128 icmp 0"}, true},
		"anywhere":        {testGroup("g", func(g *spec.Group) { pinging(g); g.Ambassador().Allow = nil }), nil, true},
		"no ping":         {testGroup("g", func(g *spec.Group) { pinging(g); g.Ambassador().PingGroups = "" }), []string{"192.0.2.0/24 tcp 443", "2001:db8::1/128 udp 0"}, false},
		"egress direct":   {testGroup("g", func(g *spec.Group) { pinging(g); g.Egress = spec.EgressDirect }), nil, false},
		"nothing to ping": {testGroup("g", func(g *spec.Group) { pinging(g); g.Egress = spec.EgressNone; g.Ambassador().Allow = nil }), nil, false},
	} {
		got := must(endpoints(tt.group))(t)
		var words []string
		for _, e := range got {
			words = append(words, fmt.Sprintf("%s %s %d", e.Prefix, e.Protocol, e.Port))
		}
		if diff := cmp.Diff(tt.want, words); diff != "" || pings(tt.group) != tt.pings {
			t.Errorf("%s: pings: %v; endpoints (-want +got):\n%s", name, pings(tt.group), diff)
		}
	}
}

func TestExplain(t *testing.T) {
	unknown, other := fmt.Errorf("write table: %w", os.ErrNotExist), errors.New("no memory")
	for _, tt := range []struct {
		name   string
		err    error
		policy egress.Policy
		hint   string
	}{
		{"interception", unknown, egress.Policy{Intercept: 1, Quota: 1}, "CONFIG_NFT_REDIR"},
		{"a quota", unknown, egress.Policy{Quota: 1}, "CONFIG_NFT_QUOTA"},
		{"neither", unknown, egress.Policy{}, ""},
		{"another error", other, egress.Policy{Intercept: 1}, ""},
	} {
		err := explain(tt.err, tt.policy)
		p, ok := errors.AsType[*hint.Error](err)
		if !errors.Is(err, tt.err) || ok != (tt.hint != "") || ok && !strings.Contains(p.Hint, tt.hint) {
			t.Errorf("%s: %#v, want a hint at %q", tt.name, err, tt.hint)
		}
	}
	if err := explain(nil, egress.Policy{Intercept: 1}); err != nil {
		t.Errorf("no error became %v", err)
	}
}

// The rate is that of the ambassador. A group without a door has none.
func TestRateOf(t *testing.T) {
	rate := spec.Rate{Out: 1, In: 2}
	limited := func(g *spec.Group) { g.Ambassador().Rate = rate }
	for name, tt := range map[string]struct {
		group *spec.Group
		want  spec.Rate
	}{
		"ambassador":    {testGroup("g", limited), rate},
		"direct":        {testGroup("g", func(g *spec.Group) { limited(g); g.Egress = spec.EgressDirect }), spec.Rate{}},
		"no ambassador": {&spec.Group{Egress: spec.EgressNone}, spec.Rate{}},
	} {
		if got := rateOf(tt.group); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// A plan and the kernel have the same reserved prefixes. The kernel has one more: the NAT64 form of
// the groups' addresses, which are not in a plan either.
func TestReservedPrefixesOfPlanAndKernel(t *testing.T) {
	given := uplinkConfig(layout.Layout{}, addrs.Pool{Prefix4: netip.MustParsePrefix("10.209.0.0/16")}, nil, false).Reserved
	last := len(given) - 1
	if want := netip.MustParsePrefix("64:ff9b::10.209.0.0/112"); given[last] != want {
		t.Errorf("the groups' own addresses by NAT64: %s, want %s", given[last], want)
	}
	given = given[:last]
	if diff := cmp.Diff(spec.ReservedPrefixes(), given, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("the host's rules refuse other prefixes (-spec +rules):\n%s", diff)
	}
	for _, p := range given {
		if !reach.Reserved(p) || !reach.Reserved(netip.PrefixFrom(p.Addr(), p.Addr().BitLen())) {
			t.Errorf("a plan does not take %s for reserved", p)
		}
	}
	if len(given) == 0 || reach.Reserved(netip.MustParsePrefix("192.0.2.0/24")) {
		t.Error("nothing is reserved, or everything is")
	}
}
