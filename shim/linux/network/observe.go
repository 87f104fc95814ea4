package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Groups implements [runner.Network].
func (n *Network) Groups(context.Context) ([]string, error) {
	pins, err := netns.Pins(filepath.Dir(n.layout.NetnsPath("x")))
	if err != nil {
		return nil, err
	}
	links, err := n.links()
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, g := range append(pins, links...) {
		found[g] = true
	}
	below, err := n.cgroups.Children(n.layout.CgroupRoot)
	if err != nil {
		return nil, err
	}
	for _, g := range below {
		// The root may be a delegated cgroup that also has cgroups of others.
		if !egress.IsSelfTest(g) && n.hasCgroups(g) {
			found[g] = true
		}
	}
	groups := make([]string, 0, len(found))
	for g := range found {
		groups = append(groups, g)
	}
	slices.Sort(groups)
	return groups, nil
}

// hasCgroups reports whether there is a cgroup for containers of the group.
func (n *Network) hasCgroups(group string) bool {
	for _, role := range []spec.Role{spec.Ambassador, spec.App} {
		if _, err := n.cgroups.Find(n.layout.CgroupParent(group, role)); err == nil {
			return true
		}
	}
	return false
}

// links returns the groups that have a link of this instance. The alias of a link has the group's
// name. The link's own name shows whether it is of this instance.
func (n *Network) links() ([]string, error) {
	all, err := netns.Links(LinkAliasPrefix)
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, l := range all {
		if group := l.Alias[len(LinkAliasPrefix):]; l.Name == n.linkName(group) {
			groups = append(groups, group)
		}
	}
	return groups, nil
}

// Observe implements [runner.Network].
func (n *Network) Observe(_ context.Context, group string, want *spec.Group) (s host.NetState) {
	began := time.Now()
	defer func() { n.findings.note(group, want, began, s) }()
	// A container may be gone when its denials are read. Observe is called soon after each start.
	containers, listErr := n.containerCgroups(group)
	n.keepNames(group, containers)
	pinned, err := netns.Pinned(n.layout.NetnsPath(group))
	if s.Pinned = presence(pinned); err != nil {
		s.Pinned = n.unknown(group, err)
	}
	ns, err := n.open(group)
	if err != nil {
		s.Namespace, s.Rules = host.Absent, host.Absent
		s.Link, s.Addrs = n.observeLink(group, want, nil)
		if !errors.Is(err, os.ErrNotExist) {
			s.Namespace, s.Rules, s.Link = n.unknown(group, err), host.Unknown, host.Unknown
		}
		return s
	}
	defer ns.Close()
	s.Namespace, s.Rules = n.observeRules(ns, group, want, func() (bool, error) { return n.placed(want, containers, listErr) })
	s.Link, s.Addrs = n.observeLink(group, want, ns)
	return s
}

// observeRules looks at a group's namespace. placed is [Network.placed].
func (n *Network) observeRules(ns *os.File, group string, want *spec.Group, placed func() (bool, error)) (namespace, rules host.Presence) {
	seen, err := egress.Visit(ns, intercepts(want))
	if err != nil {
		return n.unknown(group, err), host.Unknown
	}
	denies, err := seen.Denies(ns)
	if err != nil {
		return n.unknown(group, err), host.Unknown
	}
	if !denies {
		return host.Absent, host.Absent
	}
	if want == nil {
		return host.Present, host.Present
	}
	policy, err := n.policy(want, n.cgroups.Find)
	if errors.Is(err, os.ErrNotExist) {
		return host.Present, host.Absent
	}
	if err != nil {
		return host.Present, n.unknown(group, err)
	}
	ok, err := placed()
	if errors.Is(err, os.ErrNotExist) {
		return host.Present, host.Absent
	}
	if err == nil && ok {
		ok, err = seen.InForce(ns, policy)
	}
	if err == nil && ok {
		ok, err = n.portsClosed(seen.Reserved, want)
	}
	if err == nil && ok {
		ok, err = n.pingsAsWanted(seen.PingGroups, want)
	}
	if err == nil && ok {
		ok, err = netns.HasSysctls(ns, settingsOf(want))
	}
	if err != nil {
		return host.Present, n.unknown(group, err)
	}
	return host.Present, presence(ok)
}

// portsClosed reports whether the fence is as wanted and the ambassador's ports are reserved.
func (n *Network) portsClosed(reserved netns.Ports, want *spec.Group) (bool, error) {
	ports := closedPorts(want)
	if !slices.Equal(reserved, ports) {
		return false, nil
	}
	members := n.layout.CgroupParent(want.Name, spec.App)
	if !wantsFence(want) {
		ok, err := egress.Unfenced(n.cgroups, members)
		if err != nil || !ok {
			return false, err
		}
		return n.bothSides(want.Name, egress.Joined)
	}
	ok, err := egress.Fenced(n.cgroups, members, ports)
	if err != nil || !ok {
		return false, err
	}
	return n.bothSides(want.Name, egress.Separated)
}

// bothSides is [Network.eachSide] for a question. It reports whether both answers are yes.
func (n *Network) bothSides(group string, ask func(cgroup.Hierarchies, string) (bool, error)) (bool, error) {
	all := true
	err := n.eachSide(group, func(h cgroup.Hierarchies, path string) error {
		ok, err := ask(h, path)
		all = all && ok
		return err
	})
	return all && err == nil, err
}

// observeLink looks at both ends of a group's link. A nil ns means that its namespace can't be
// opened.
func (n *Network) observeLink(group string, want *spec.Group, ns *os.File) (host.Presence, []string) {
	now := seenLink{read: time.Now()}
	known, isKnown, err := n.knownLink(group, want, ns, &now.ns)
	exists := isKnown
	if now.own = known.own; err == nil && !isKnown {
		now.own, exists, err = netns.LinkAddresses(n.linkName(group))
	}
	if err != nil {
		return n.unknown(group, err), nil
	}
	own := now.own
	pair, ok := n.findPair(group, own)
	var shown []string
	if ok {
		for _, a := range pair.Group() {
			shown = append(shown, a.String())
		}
	}
	if want == nil || want.Egress == spec.EgressNone || !ok {
		return presence(exists && (ok || want == nil)), shown
	}
	entry, err := n.entry(want, pair)
	if err != nil {
		return n.unknown(group, err), shown
	}
	now.Link = *n.config(want, pair).Link
	if ok = ns != nil; ok {
		ok, err = n.hasLink(group, ns, now, known)
	}
	if err == nil && ok {
		ok, err = n.uplink.InForce(entry)
	}
	if err != nil {
		return n.unknown(group, err), shown
	}
	return presence(ok), shown
}

// knownLink returns the link of a group that is to have one, if it need not be read. It sets at to
// the namespace.
func (n *Network) knownLink(group string, want *spec.Group, ns *os.File, at *pin) (known seenLink, ok bool, err error) {
	if want == nil || want.Egress == spec.EgressNone || ns == nil {
		return known, false, nil
	}
	if *at, err = pinOf(ns); err != nil {
		return known, false, err
	}
	if l, ok := n.quietLinks.recall(group, *at); ok {
		return l, true, nil
	}
	return known, false, nil
}

func presence(ok bool) host.Presence {
	if ok {
		return host.Present
	}
	return host.Absent
}

// unknown logs why a part of a group's network could not be read.
func (n *Network) unknown(group string, err error) host.Presence {
	n.log.Warn("the network could not be read", "group", group, "error", err)
	return host.Unknown
}

// Counters reads the counters of a group's rules. If the group has no rules, the error is
// os.ErrNotExist.
func (n *Network) Counters(group string) (host.Counters, error) {
	ns, err := n.open(group)
	if err != nil {
		return host.Counters{}, err
	}
	defer ns.Close()
	c, err := egress.ReadCounters(ns)
	return countersOf(c), err
}

func countersOf(c egress.Counters) host.Counters {
	return host.Counters{
		AmbassadorOut:      host.Count(c.AmbassadorOut),
		AmbassadorDenied:   host.Count(c.AmbassadorDenied),
		AmbassadorIn:       host.Count(c.AmbassadorIn),
		Quota:              host.Count(c.Quota),
		FlowsFull:          host.Count(c.FlowsFull),
		MembersOut:         host.Count(c.MembersOut),
		MembersTCP:         host.Count(c.MembersTCP),
		MembersOther:       host.Count(c.MembersOther),
		MembersIn:          host.Count(c.MembersIn),
		MembersIntercepted: host.Count(c.MembersIntercepted),
		KernelOut:          host.Count(c.KernelOut),
		KernelIn:           host.Count(c.KernelIn),
		UnknownOut:         host.Count(c.UnknownOut),
		UnknownIn:          host.Count(c.UnknownIn),
	}
}

// PortInUse returns the process of the host that uses the port that p would publish: "haproxy
// (pid 123)". An empty holder means that the port is free. It does not check the ports that groups
// publish: [spec.Conflicts] finds two groups that want the same one.
func (n *Network) PortInUse(p spec.Publish) (holder string, err error) {
	var addr netip.Addr
	if p.Address != "" {
		if addr, err = netip.ParseAddr(p.Address); err != nil {
			return "", fmt.Errorf("publish %q: %w", p.Name, err)
		}
	}
	return uplink.PortHolder(p.Protocol, addr, p.Host)
}
