package network

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/shim/host"
)

// inbound adds up what the rules of the namespace and the host's dropped on its way to the group.
func (n *Network) inbound(group string, found []ruleset.Origin, sources sourcesFunc) ([]host.Denial, error) {
	if len(found) == 0 {
		return nil, nil
	}
	all, err := sources()
	if err != nil {
		return nil, err
	}
	own := all[n.linkName(group)]
	sum := map[host.Denial]host.Denial{} // by the denial without its counts
	for _, x := range found {
		var d host.Denial
		if x.Source.IsValid() {
			d = host.Denial{Source: x.Source, Protocol: protocolName(x.Protocol), Destination: netip.AddrPortFrom(ofFamily(own, x.Source), x.Port)}
		}
		total, ok := sum[d]
		if !ok {
			total = d
		}
		total.Packets += x.Packets
		total.Bytes += x.Bytes
		sum[d] = total
	}
	return slices.SortedFunc(maps.Values(sum), func(a, b host.Denial) int {
		return cmp.Or(a.Source.Compare(b.Source), cmp.Compare(a.Protocol, b.Protocol), a.Destination.Compare(b.Destination))
	}), nil
}

// betweenGroups adds, for each group, what the host refused to the ambassadors of others on their
// way to it.
func (n *Network) betweenGroups(refused map[string][]uplink.Refusal, sources sourcesFunc) error {
	if len(refused) == 0 {
		return nil
	}
	all, err := sources()
	if err != nil {
		return err
	}
	links := map[netip.Addr]string{}
	for link, own := range all {
		for _, a := range own {
			links[a] = link
		}
	}
	inbound := map[string][]uplink.Refusal{}
	for link, list := range refused {
		for _, r := range list {
			to, ok := links[r.Destination.Addr()]
			if !ok || r.Inbound || to == link {
				continue
			}
			r.Inbound, r.Source = true, ofFamily(all[link], r.Destination.Addr())
			r.Destination = netip.AddrPortFrom(netip.Addr{}, r.Destination.Port())
			inbound[to] = append(inbound[to], r)
		}
	}
	for link, list := range inbound {
		refused[link] = append(refused[link], list...)
	}
	return nil
}

// ofFamily returns the address that has the same family as another. It is invalid if there is none.
func ofFamily(addresses []netip.Addr, like netip.Addr) netip.Addr {
	for _, a := range addresses {
		if a.Is4() == like.Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// sooner returns the lesser of two times. A time of 0 stands for none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
