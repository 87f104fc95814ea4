package network

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/addrs"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/shim/hint"
)

// pair returns the addresses of a group's link. A link without any gets new ones.
func (n *Network) pair(group string) (addrs.Pair, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if pair, ok := n.assigned[group]; ok {
		return pair, nil
	}
	own, _, err := netns.LinkAddresses(n.linkName(group))
	if err != nil {
		return addrs.Pair{}, err
	}
	pair, ok := n.findPair(group, own)
	if !ok {
		if pair, err = n.choosePair(group); err != nil {
			return pair, err
		}
	}
	n.assigned[group] = pair
	return pair, nil
}

// KeepAddresses finds the groups whose links have other addresses than the pool would give them,
// because an earlier daemon had another pool. Those links keep their addresses until they are
// removed. It returns the names of the groups, sorted. It must be called before every other method.
func (n *Network) KeepAddresses() ([]string, error) {
	groups, err := n.links()
	if err != nil {
		return nil, err
	}
	sources, err := n.uplink.Sources()
	if err != nil {
		return nil, err
	}
	var kept []string
	var prefixes []netip.Prefix
	for _, group := range groups {
		own := slices.DeleteFunc(sources[n.linkName(group)], func(a netip.Addr) bool { return a.Is6() && !n.pool.Prefix6.IsValid() })
		if n.pool.Gives(own) {
			continue
		}
		kept = append(kept, group)
		n.earlier[group] = addrs.PairOf(own...)
		for _, a := range own {
			if !n.pool.Contains(a) {
				prefixes = append(prefixes, netip.PrefixFrom(a, a.BitLen()-1).Masked())
			}
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	slices.Sort(kept)
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	n.uplink, err = uplink.New(uplinkConfig(n.layout, n.pool, prefixes, n.tells))
	return kept, err
}

// findPair returns the pair that one of the addresses of a group's link belongs to.
func (n *Network) findPair(group string, own []netip.Addr) (addrs.Pair, bool) {
	if pair, ok := n.earlier[group]; ok && slices.ContainsFunc(pair.Host(), func(a netip.Addr) bool { return slices.Contains(own, a) }) {
		return pair, true
	}
	for _, a := range own {
		if pair, ok := n.pool.Holding(a); ok {
			return pair, true
		}
	}
	return addrs.Pair{}, false
}

// choosePair chooses addresses that no link of the host has or is about to get.
func (n *Network) choosePair(group string) (addrs.Pair, error) {
	if err := n.checkRoutes(); err != nil {
		return addrs.Pair{}, err
	}
	all, err := netns.Addresses()
	if err != nil {
		return addrs.Pair{}, err
	}
	used := map[netip.Addr]bool{}
	for _, a := range all {
		used[a] = true
	}
	for _, pair := range n.assigned {
		used[pair.Host4] = true
	}
	pair, err := n.pool.Pick(group, func(a netip.Addr) bool { return used[a] })
	if errors.Is(err, addrs.ErrFull) {
		return pair, &hint.Error{Err: err, Hint: "give the daemon larger prefixes for its links (--prefix4, --prefix6), or remove a group"}
	}
	return pair, err
}

// checkRoutes returns an error if a route of the host leads into our prefixes. After a check
// without an error it does not read the routes again: with many links there are many.
func (n *Network) checkRoutes() error {
	if n.routesChecked {
		return nil
	}
	routes, err := netns.Routes(LinkAliasPrefix)
	if err != nil {
		return err
	}
	if err := n.pool.CheckRoutes(routes); err != nil {
		return &hint.Error{Err: err, Hint: "give the daemon other prefixes for its links (--prefix4, --prefix6)"}
	}
	n.routesChecked = true
	return nil
}
