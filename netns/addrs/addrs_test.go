package addrs

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func mustNew(t *testing.T, p4, p6 string) Pool {
	t.Helper()
	p, err := New(p4, p6)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNewRefuses(t *testing.T) {
	tests := []struct{ name, prefix4, prefix6, want string }{
		{"no prefix", "", "", `address prefix: netip.ParsePrefix(""): no '/'`},
		{"host bits", "10.0.0.1/16", "", `address prefix "10.0.0.1/16" has bits set behind its length; it would be "10.0.0.0/16"`},
		{"too small", "10.0.0.0/31", "", `address prefix "10.0.0.0/31" holds less than two links`},
		{"v6 as v4", "fd00::/16", "", `address prefix "fd00::/16" is not IPv4`},
		{"v4 as v6", "10.0.0.0/16", "10.1.0.0/16", `address prefix "10.1.0.0/16" is not IPv6`},
		{"v6 too small", "10.0.0.0/16", "fd00::/127", `address prefix "fd00::/127" holds less than two links`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.prefix4, tt.prefix6)
			if err == nil || err.Error() != tt.want {
				t.Errorf("New = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestPickIsStableAndGoesOn(t *testing.T) {
	p := mustNew(t, "10.209.0.0/16", "fd5a:11e0:9027::/64")
	none := func(netip.Addr) bool { return false }
	first, err := p.Pick("checkout", none)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := p.Pick("checkout", none)
	if diff := cmp.Diff(first.Host(), again.Host(), cmp.Comparer(equal)); diff != "" {
		t.Errorf("a second pick differs (-first +second):\n%s", diff)
	}
	// One used address, of either family, is enough to try the next pair.
	for _, taken := range append(first.Host(), first.Group()...) {
		next, err := p.Pick("checkout", func(a netip.Addr) bool { return a == taken })
		if err != nil || next.Host4 != plus(first.Host4, 2) {
			t.Errorf("with %s taken: %v, %v; want the pair after %s", taken, next, err, first.Host4)
		}
	}
}

func TestPickFillsThePool(t *testing.T) {
	p := mustNew(t, "10.0.0.0/28", "fd00::/64")
	used := map[netip.Addr]bool{}
	for i := range p.Size() {
		pair, err := p.Pick("g", func(a netip.Addr) bool { return used[a] })
		if err != nil {
			t.Fatalf("pair %d of %d: %v", i, p.Size(), err)
		}
		for _, a := range append(pair.Host(), pair.Group()...) {
			if used[a] || !p.Contains(a) {
				t.Fatalf("address %s was given out twice or is none of %s", a, p)
			}
			used[a] = true
		}
	}
	_, err := p.Pick("g", func(a netip.Addr) bool { return used[a] })
	if !errors.Is(err, ErrFull) || err.Error() != "no free addresses are left in 10.0.0.0/28 and fd00::/64" {
		t.Errorf("a full pool: error %v, want ErrFull", err)
	}
}

func TestPairs(t *testing.T) {
	p := mustNew(t, "10.209.0.0/16", "fd00::/64")
	rapid.Check(t, func(t *rapid.T) {
		pair := p.pair(rapid.Uint64Range(0, p.Size()-1).Draw(t, "n"))
		// Both ends of each family are one /31 or /127, and lead back to the pair.
		if netip.PrefixFrom(pair.Host4, 31).Masked() != netip.PrefixFrom(pair.Group4, 31).Masked() {
			t.Fatalf("%s and %s are no /31", pair.Host4, pair.Group4)
		}
		if netip.PrefixFrom(pair.Host6, 127).Masked() != netip.PrefixFrom(pair.Group6, 127).Masked() {
			t.Fatalf("%s and %s are no /127", pair.Host6, pair.Group6)
		}
		for _, a := range append(pair.Host(), pair.Group()...) {
			if back, ok := p.Holding(a); !ok || back != pair {
				t.Fatalf("%s is of %v, want %v", a, back, pair)
			}
		}
		if back := PairOf(pair.Group()...); back != pair || !p.Gives(pair.Group()) || !p.Gives(pair.Group()[:1]) {
			t.Fatalf("%v comes back as %v, or is none of the pool's", pair, back)
		}
	})
}

func TestHoldingOutside(t *testing.T) {
	p := mustNew(t, "10.0.0.0/28", "fd00::/64")
	for _, s := range []string{"10.0.0.16", "9.255.255.255", "fd00::10", "fd01::1", "::1"} {
		if pair, ok := p.Holding(netip.MustParseAddr(s)); ok {
			t.Errorf("%s is of pair %v, want none", s, pair)
		}
	}
	if pair, ok := mustNew(t, "10.0.0.0/28", "").Holding(netip.MustParseAddr("fd00::1")); ok {
		t.Errorf("without IPv6, fd00::1 is of pair %v", pair)
	}
}

func TestWithoutIPv6(t *testing.T) {
	p := mustNew(t, "10.0.0.0/28", "")
	pair, err := p.Pick("g", func(netip.Addr) bool { return false })
	if err != nil || len(pair.Host()) != 1 || len(pair.Group()) != 1 {
		t.Errorf("pair %v, %v; want IPv4 alone", pair, err)
	}
}

func TestCheckRoutes(t *testing.T) {
	p := mustNew(t, "10.209.0.0/16", "fd00:1::/64")
	tests := []struct {
		name, route, want string
	}{
		{"default", "0.0.0.0/0", ""},
		{"default of IPv6", "::/0", ""},
		{"elsewhere", "192.0.2.0/24", ""},
		{"around it", "10.0.0.0/8", "address prefix 10.209.0.0/16 overlaps 10.0.0.0/8, which the host routes already"},
		{"in it", "10.209.7.0/24", "address prefix 10.209.0.0/16 overlaps 10.209.7.0/24, which the host routes already"},
		{"in it, IPv6", "fd00:1::7/128", "address prefix fd00:1::/64 overlaps fd00:1::7/128, which the host routes already"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := p.CheckRoutes([]netip.Prefix{netip.MustParsePrefix(tt.route)}); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("CheckRoutes = %q, want %q", got, tt.want)
			}
		})
	}
}

func equal(a, b netip.Addr) bool { return a == b }

func TestGivesNot(t *testing.T) {
	p := mustNew(t, "10.209.0.0/16", "fd00::/64")
	for _, tt := range []struct {
		name  string
		group []string
	}{
		{"elsewhere", []string{"10.77.0.1", "fd77::1"}},
		{"IPv4 elsewhere", []string{"10.77.0.1", "fd00::1"}},
		{"IPv6 elsewhere", []string{"10.209.0.1", "fd77::1"}},
		{"two pairs", []string{"10.209.0.1", "fd00::3"}},
		{"the host's end", []string{"10.209.0.0"}},
	} {
		var group []netip.Addr
		for _, a := range tt.group {
			group = append(group, netip.MustParseAddr(a))
		}
		if p.Gives(group) {
			t.Errorf("%s: %v is the pool's", tt.name, group)
		}
	}
	if !p.Gives(nil) {
		t.Error("no address is another pool's")
	}
}
