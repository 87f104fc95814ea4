package shim

import (
	"net/netip"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/addrs"
)

// pair returns the addresses of a group's link: those it has, else new ones.
func (n *HostNetwork) pair(group string) (addrs.Pair, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if pair, ok := n.given[group]; ok {
		return pair, nil
	}
	all, err := netns.Addresses()
	if err != nil {
		return addrs.Pair{}, err
	}
	pair, ok := n.holding(all[n.linkName(group)])
	if !ok {
		if pair, err = n.pick(group, all); err != nil {
			return pair, err
		}
	}
	n.given[group] = pair
	return pair, nil
}

func (n *HostNetwork) holding(own []netip.Addr) (addrs.Pair, bool) {
	for _, a := range own {
		if pair, ok := n.pool.Holding(a); ok {
			return pair, true
		}
	}
	return addrs.Pair{}, false
}

func (n *HostNetwork) pick(group string, all map[string][]netip.Addr) (addrs.Pair, error) {
	routes, err := netns.Routes(aliasPrefix)
	if err != nil {
		return addrs.Pair{}, err
	}
	if err := n.pool.CheckRoutes(routes); err != nil {
		return addrs.Pair{}, &Problem{Err: err, Hint: "give the daemon another prefix for its links"}
	}
	used := map[netip.Addr]bool{}
	for _, list := range all {
		for _, a := range list {
			used[a] = true
		}
	}
	for _, pair := range n.given {
		used[pair.Host4] = true
	}
	return n.pool.Pick(group, func(a netip.Addr) bool { return used[a] })
}
