package network

import (
	"errors"
	"net/netip"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/addrs"
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
	pair, ok := n.findPair(own)
	if !ok {
		if pair, err = n.choosePair(group); err != nil {
			return pair, err
		}
	}
	n.assigned[group] = pair
	return pair, nil
}

// findPair returns the pair that one of the addresses belongs to.
func (n *Network) findPair(own []netip.Addr) (addrs.Pair, bool) {
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
