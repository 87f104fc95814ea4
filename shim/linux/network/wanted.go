package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/addrs"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/spec"
)

// policy returns the policy of the wanted group. The function cgroup finds or makes its cgroups.
func (n *Network) policy(want *spec.Group, cgroup func(path string) (cgroup.Cgroup, error)) (p egress.Policy, err error) {
	if p.Ambassador, err = cgroup(n.layout.CgroupParent(want.Name, spec.Ambassador)); err != nil {
		return p, err
	}
	if p.Members, err = cgroup(n.layout.CgroupParent(want.Name, spec.App)); err != nil {
		return p, err
	}
	p.Signals = n.tells
	switch want.Egress {
	case spec.EgressNone:
		return egress.Policy{Mode: egress.Sealed, Signals: n.tells}, nil
	case spec.EgressDirect:
		p.Mode = egress.Direct
	default:
		p.Mode = egress.Ambassador
	}
	a := want.Ambassador()
	if a == nil {
		return p, nil
	}
	p.Intercept, p.Quota, p.Pings = a.Intercept, uint64(a.Quota), pings(want)
	for _, x := range a.Publish {
		for one := range x.Each() {
			p.Published = append(p.Published, egress.Port{Protocol: one.Protocol, Port: one.Port})
		}
	}
	p.Allow, err = endpoints(want)
	return p, err
}

// closedPorts returns the ports that belong to the group's ambassador and are closed to its
// members.
func closedPorts(want *spec.Group) netns.Ports { return netns.PortsOf(want.AmbassadorPorts()...) }

// intercepts reports whether members' connections are led to the ambassador of the group, if there
// is a group.
func intercepts(want *spec.Group) bool {
	return want != nil && want.Ambassador() != nil && want.Ambassador().Intercept != 0
}

// wantsFence reports whether a fence on the cgroup of the group's members keeps them to loopback,
// in addition to the rules.
func wantsFence(want *spec.Group) bool { return want.Egress != spec.EgressDirect }

// endpoints returns the wanted allow list. It applies to the ambassador. It is nil if the
// ambassador may go anywhere, and empty but not nil if it may go nowhere. A group with direct
// egress has none.
func endpoints(want *spec.Group) ([]egress.Endpoint, error) {
	allow := want.Door().Allow
	if want.Egress == spec.EgressDirect || allow == nil {
		return nil, nil
	}
	out := make([]egress.Endpoint, 0, len(allow))
	for _, x := range allow {
		prefix, err := netip.ParsePrefix(x.Prefix)
		if err != nil {
			return nil, fmt.Errorf("allow of group %q: %w", want.Name, err)
		}
		out = append(out, egress.Endpoint{Prefix: prefix, Protocol: x.Protocol, Port: x.Port})
	}
	if pings(want) {
		out = withEchoes(out)
	}
	return out, nil
}

// config returns the wanted namespace and link.
func (n *Network) config(want *spec.Group, pair addrs.Pair) netns.Config {
	rate := rateOf(want)
	return netns.Config{
		Path: n.layout.NetnsPath(want.Name),
		Link: &netns.Link{
			Name:      n.linkName(want.Name),
			Alias:     LinkAliasPrefix + want.Name,
			Host:      pair.Host(),
			Group:     pair.Group(),
			Localhost: publishedOnLocalhost(want),
			RateOut:   uint64(rate.Out),
			RateIn:    uint64(rate.In),
		},
	}
}

// rateOf returns the limit on the traffic of the ambassador's door. A group with direct egress has
// no door.
func rateOf(want *spec.Group) spec.Rate {
	if want.Egress == spec.EgressDirect {
		return spec.Rate{}
	}
	return want.Door().Rate
}

// publishedOnLocalhost reports whether a port is published on a loopback address, or on all
// addresses.
func publishedOnLocalhost(want *spec.Group) bool {
	return slices.ContainsFunc(want.Door().Publish, func(p spec.Publish) bool {
		addr, err := netip.ParseAddr(p.Address)
		return p.Address == "" || err == nil && addr.IsLoopback()
	})
}

// entry returns what the host has to do for the group's link.
func (n *Network) entry(want *spec.Group, pair addrs.Pair) (e uplink.Entry, err error) {
	e = uplink.Entry{Link: n.linkName(want.Name), Group: pair.Group()}
	if e.Allow, err = endpoints(want); err != nil {
		return e, err
	}
	if a := want.Ambassador(); a != nil {
		for _, x := range a.Publish {
			var addr netip.Addr
			if x.Address != "" {
				if addr, err = netip.ParseAddr(x.Address); err != nil {
					return e, fmt.Errorf("publish %q of group %q: %w", x.Name, want.Name, err)
				}
			}
			for one := range x.Each() {
				e.Publish = append(e.Publish, uplink.Publish{Protocol: one.Protocol, Address: addr, Host: one.Host, Port: one.Port})
			}
		}
	}
	return e, nil
}
