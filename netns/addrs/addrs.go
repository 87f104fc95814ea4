// Package addrs hands out the addresses of links: pairs from one IPv4 and one IPv6 prefix. It
// stores nothing: the addresses in use are read from the existing links. A group gets the same pair
// again if that is free.
//
// Pitfall: one number picks the pair in both families, so the smaller prefix limits both.
package addrs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
)

// ErrFull means that every pair is in use.
var ErrFull = errors.New("no free addresses are left")

// A Pool has the prefixes of the pairs.
type Pool struct {
	Prefix4 netip.Prefix // required: at most /30
	Prefix6 netip.Prefix // optional: the zero value hands out IPv4 alone
}

// A Pair has the addresses of one link, by family. The host's end is first in each.
type Pair struct {
	Host4, Group4 netip.Addr
	Host6, Group6 netip.Addr // invalid without IPv6
}

// New checks the prefixes. prefix6 may be empty.
func New(prefix4, prefix6 string) (Pool, error) {
	var p Pool
	var err error
	if p.Prefix4, err = parse(prefix4, 30); err != nil {
		return p, err
	}
	if !p.Prefix4.Addr().Is4() {
		return p, fmt.Errorf("address prefix %q is not IPv4", prefix4)
	}
	if prefix6 == "" {
		return p, nil
	}
	if p.Prefix6, err = parse(prefix6, 126); err != nil {
		return p, err
	}
	if !p.Prefix6.Addr().Is6() || p.Prefix6.Addr().Is4In6() {
		return p, fmt.Errorf("address prefix %q is not IPv6", prefix6)
	}
	return p, nil
}

func parse(s string, most int) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("address prefix: %w", err)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("address prefix %q has bits set behind its length; it would be %q", s, p.Masked())
	}
	if p.Bits() > most {
		return p, fmt.Errorf("address prefix %q holds less than two links", s)
	}
	return p, nil
}

// Size returns the number of pairs.
func (p Pool) Size() uint64 {
	bits := p.Prefix4.Addr().BitLen() - p.Prefix4.Bits()
	if p.Prefix6.IsValid() {
		bits = min(bits, p.Prefix6.Addr().BitLen()-p.Prefix6.Bits())
	}
	return 1 << (bits - 1)
}

// Pick returns the pair for a group: the one that the hash of its name selects, or the next one
// without a used address.
func (p Pool) Pick(group string, used func(netip.Addr) bool) (Pair, error) {
	h := fnv.New64a()
	h.Write([]byte(group))
	size := p.Size()
	start := h.Sum64() % size
	for i := range size {
		pair := p.pair((start + i) % size)
		if !pair.anyOf(used) {
			return pair, nil
		}
	}
	return Pair{}, fmt.Errorf("%w in %s", ErrFull, p)
}

// Holding returns the pair that contains an address, and whether the address is in the pool.
func (p Pool) Holding(a netip.Addr) (Pair, bool) {
	prefix := p.Prefix4
	if a.Is6() {
		prefix = p.Prefix6
	}
	if !prefix.IsValid() || !prefix.Contains(a) {
		return Pair{}, false
	}
	n := (low(a) - low(prefix.Addr())) / 2
	if n >= p.Size() {
		return Pair{}, false
	}
	return p.pair(n), true
}

// PairOf returns the pair that has these ends of a group, one of each family at most. It need not
// be in a pool.
func PairOf(group ...netip.Addr) (pair Pair) {
	for _, a := range group {
		host := netip.PrefixFrom(a, a.BitLen()-1).Masked().Addr()
		if a.Is4() {
			pair.Host4, pair.Group4 = host, a
		} else {
			pair.Host6, pair.Group6 = host, a
		}
	}
	return pair
}

// Gives reports whether all these ends of one group are of the same pair of the pool. That pair may
// have one more.
func (p Pool) Gives(group []netip.Addr) bool {
	for _, a := range group {
		pair, ok := p.Holding(a)
		if !ok || pair.anyMissing(group) {
			return false
		}
	}
	return true
}

func (p Pair) anyMissing(group []netip.Addr) bool {
	return slices.ContainsFunc(group, func(a netip.Addr) bool { return !slices.Contains(p.Group(), a) })
}

// Contains reports whether an address is in one of the prefixes.
func (p Pool) Contains(a netip.Addr) bool {
	return p.Prefix4.Contains(a) || p.Prefix6.IsValid() && p.Prefix6.Contains(a)
}

// CheckRoutes returns an error if the pool overlaps one of the host's other routes. A default route
// covers everything and does not count.
func (p Pool) CheckRoutes(routes []netip.Prefix) error {
	for _, r := range routes {
		if r.Bits() == 0 {
			continue
		}
		for _, own := range []netip.Prefix{p.Prefix4, p.Prefix6} {
			if own.IsValid() && own.Overlaps(r) {
				return fmt.Errorf("address prefix %s overlaps %s, which the host routes already", own, r)
			}
		}
	}
	return nil
}

func (p Pool) String() string {
	if !p.Prefix6.IsValid() {
		return p.Prefix4.String()
	}
	return p.Prefix4.String() + " and " + p.Prefix6.String()
}

func (p Pool) pair(n uint64) Pair {
	pair := Pair{Host4: plus(p.Prefix4.Addr(), 2*n), Group4: plus(p.Prefix4.Addr(), 2*n+1)}
	if p.Prefix6.IsValid() {
		pair.Host6, pair.Group6 = plus(p.Prefix6.Addr(), 2*n), plus(p.Prefix6.Addr(), 2*n+1)
	}
	return pair
}

func (p Pair) anyOf(used func(netip.Addr) bool) bool {
	for _, a := range append(p.Host(), p.Group()...) {
		if used(a) {
			return true
		}
	}
	return false
}

// Host returns the host's end in each family of the pair.
func (p Pair) Host() []netip.Addr { return valid(p.Host4, p.Host6) }

// Group returns the group's end in each family of the pair.
func (p Pair) Group() []netip.Addr { return valid(p.Group4, p.Group6) }

func valid(addrs ...netip.Addr) (out []netip.Addr) {
	for _, a := range addrs {
		if a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}

// low returns the last 64 bits of an address. A pool never needs more.
func low(a netip.Addr) uint64 {
	b := a.As16()
	return binary.BigEndian.Uint64(b[8:])
}

func plus(a netip.Addr, n uint64) netip.Addr {
	b := a.As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+n)
	out := netip.AddrFrom16(b)
	if a.Is4() {
		return out.Unmap()
	}
	return out
}
