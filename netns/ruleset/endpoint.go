package ruleset

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// An Endpoint is a set of destinations.
type Endpoint struct {
	Prefix   netip.Prefix
	Protocol string // "tcp", "udp", or ICMP for that of the prefix's family
	Port     uint16 // 0: any
}

// ICMP is the protocol of an [Endpoint] for ICMP, and for ICMPv6 if its prefix is of IPv6. Its port
// is 0.
const ICMP = "icmp"

// Number returns the number of the endpoint's protocol.
func (e Endpoint) Number() (byte, error) {
	switch {
	case e.Protocol != ICMP:
		return Protocol(e.Protocol)
	case e.Port != 0:
		return 0, fmt.Errorf("protocol %q has no ports, and port %d is asked for", ICMP, e.Port)
	case e.Prefix.Addr().Is6():
		return unix.IPPROTO_ICMPV6, nil
	}
	return unix.IPPROTO_ICMP, nil
}

// Protocol returns the number of "tcp" or "udp".
func Protocol(name string) (byte, error) {
	switch name {
	case "tcp":
		return unix.IPPROTO_TCP, nil
	case "udp":
		return unix.IPPROTO_UDP, nil
	}
	return 0, fmt.Errorf("protocol %q is neither tcp nor udp", name)
}

// An AllowSet names the four sets that hold endpoints. Endpoints with any port have sets of their
// own: in one set with the others, ranges could overlap in part, which the kernel refuses.
type AllowSet struct{ Port4, Host4, Port6, Host6 string }

// Sets returns the four sets, empty. before are key fields in front of the endpoint's own.
func (a AllowSet) Sets(before ...nftables.SetDatatype) []Set {
	set := func(name string, fields ...nftables.SetDatatype) Set {
		s := NewSet(name, append(slices.Clone(before), fields...)...)
		s.Interval = true
		return s
	}
	return []Set{
		set(a.Port4, nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
		set(a.Host4, nftables.TypeIPAddr, nftables.TypeInetProto),
		set(a.Port6, nftables.TypeIP6Addr, nftables.TypeInetProto, nftables.TypeInetService),
		set(a.Host6, nftables.TypeIP6Addr, nftables.TypeInetProto),
	}
}

// Rules returns rules that match packets to one of the endpoints, each with the verdict. before are
// the fields in front.
func (a AllowSet) Rules(before []Field, verdict ...[]expr.Any) []Rule {
	rule := func(set string, family byte, fields ...Field) Rule {
		parts := [][]expr.Any{Family(family), In(set, append(slices.Clone(before), fields...)...)}
		return NewRule("", append(parts, verdict...)...)
	}
	return []Rule{
		rule(a.Port4, unix.NFPROTO_IPV4, FieldDest4, FieldL4Proto, FieldDPort),
		rule(a.Host4, unix.NFPROTO_IPV4, FieldDest4, FieldL4Proto),
		rule(a.Port6, unix.NFPROTO_IPV6, FieldDest6, FieldL4Proto, FieldDPort),
		rule(a.Host6, unix.NFPROTO_IPV6, FieldDest6, FieldL4Proto),
	}
}

// Elements returns the endpoints as elements of the four sets, by the set's name. prefix is the
// value of the fields in front. An endpoint that another one covers is left out: the kernel refuses
// overlapping elements.
func (a AllowSet) Elements(endpoints []Endpoint, prefix ...[]byte) map[string][]nftables.SetElement {
	out := map[string][]nftables.SetElement{}
	for _, e := range compact(endpoints) {
		name := a.holding(e)
		out[name] = append(out[name], nftables.SetElement{
			Key:    e.key(prefix, e.Prefix.Addr()),
			KeyEnd: e.key(prefix, LastOf(e.Prefix)),
		})
	}
	return out
}

func (a AllowSet) holding(e Endpoint) string {
	switch v6 := e.Prefix.Addr().Is6(); {
	case v6 && e.Port == 0:
		return a.Host6
	case v6:
		return a.Port6
	case e.Port == 0:
		return a.Host4
	default:
		return a.Port4
	}
}

func (e Endpoint) key(prefix [][]byte, addr netip.Addr) []byte {
	proto, _ := e.Number() // checked before
	parts := append(slices.Clone(prefix), addr.AsSlice(), []byte{proto})
	if e.Port != 0 {
		parts = append(parts, Port(e.Port))
	}
	return Key(parts...)
}

func (e Endpoint) covers(o Endpoint) bool {
	return e.Protocol == o.Protocol && (e.Port == 0 || e.Port == o.Port) &&
		e.Prefix.Bits() <= o.Prefix.Bits() && e.Prefix.Contains(o.Prefix.Addr())
}

func compact(in []Endpoint) []Endpoint {
	var out []Endpoint
	for _, e := range in {
		e.Prefix = e.Prefix.Masked()
		covered := slices.ContainsFunc(in, func(o Endpoint) bool { return o.covers(e) && !e.covers(o) })
		if !covered && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Endpoint) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return out
}
