package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/addrs"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/spec"
)

var _ Network = (*HostNetwork)(nil)

// A HostNetworkConfig is what a HostNetwork works with.
type HostNetworkConfig struct {
	Layout Layout       // required
	Log    *slog.Logger // optional: nil discards
}

// A HostNetwork is the [Network] of a real host. It remembers nothing that it could not read from the host again, and is safe
// for concurrent use with one call at a time for each group.
type HostNetwork struct {
	layout  Layout
	log     *slog.Logger
	pool    addrs.Pool
	uplink  *uplink.Uplink
	cgroups egress.Hierarchies

	mu    sync.Mutex
	given map[string]addrs.Pair // handed out by this process; its link may not be made yet
}

// NewHostNetwork checks the configuration and finds the cgroup hierarchies; it changes nothing.
func NewHostNetwork(c HostNetworkConfig) (*HostNetwork, error) {
	log := c.Log
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	cgroups, err := egress.FindHierarchies()
	if err != nil {
		return nil, &Problem{Err: err, Hint: "mount cgroup v2; on a hybrid host, beside v1: mount -t cgroup2 none /sys/fs/cgroup/unified"}
	}
	prefix6 := c.Layout.Prefix6
	if !netns.HasIPv6() {
		if prefix6 != "" {
			log.Warn("the host has IPv6 turned off: groups get IPv4 alone")
		}
		prefix6 = ""
	}
	pool, err := addrs.New(c.Layout.Prefix4, prefix6)
	if err != nil {
		return nil, err
	}
	up, err := uplink.New(uplink.Config{Table: c.Layout.Table, Prefix4: pool.Prefix4, Prefix6: pool.Prefix6})
	if err != nil {
		return nil, err
	}
	return &HostNetwork{layout: c.Layout, log: log, pool: pool, uplink: up, cgroups: cgroups, given: map[string]addrs.Pair{}}, nil
}

// SelfTest proves that this host's kernel keeps the promise. No group may start where it fails.
func (n *HostNetwork) SelfTest(ctx context.Context) error {
	err := egress.SelfTest(ctx, n.layout.CgroupRoot)
	if lack, ok := errors.AsType[*egress.SelfTestError](err); ok {
		return &Problem{Err: fmt.Errorf("self-test: %w", err), Hint: lack.Hint}
	}
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	return nil
}

// Groups implements [Network].
func (n *HostNetwork) Groups(context.Context) ([]string, error) {
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
		// The root may be a delegated cgroup with more in it than ours.
		if n.hasCgroups(g) {
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

func (n *HostNetwork) hasCgroups(group string) bool {
	for _, role := range []spec.Role{spec.Ambassador, spec.App} {
		if _, err := n.cgroups.Find(n.layout.CgroupParent(group, role)); err == nil {
			return true
		}
	}
	return false
}

// links lists the groups that have a link of this instance: the alias says the group, and the name that it is ours.
func (n *HostNetwork) links() ([]string, error) {
	all, err := netns.Links(aliasPrefix)
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, l := range all {
		if group := l.Alias[len(aliasPrefix):]; l.Name == n.linkName(group) {
			groups = append(groups, group)
		}
	}
	return groups, nil
}

const aliasPrefix = "sallyport:"

func (n *HostNetwork) linkName(group string) string { return netns.LinkName(n.layout.NetnsPath(group)) }

// Seal implements [Network].
func (n *HostNetwork) Seal(_ context.Context, group string) error {
	if err := netns.Apply(netns.Config{Path: n.layout.NetnsPath(group)}); err != nil {
		return err
	}
	ns, err := n.open(group)
	if err != nil {
		return err
	}
	defer ns.Close()
	// Rules that are there deny all that the sealed ones deny, but for whom they admit; Admit puts the wanted ones in force.
	if ok, err := egress.Denies(ns); err != nil || ok {
		return err
	}
	_, err = egress.Apply(ns, egress.Policy{Mode: egress.Sealed})
	return err
}

// Admit implements [Network].
func (n *HostNetwork) Admit(_ context.Context, want *spec.Group) error {
	policy, err := n.policy(want, n.cgroups.Make)
	if err != nil {
		return err
	}
	ns, err := n.open(want.Name)
	if err != nil {
		return err
	}
	defer ns.Close()
	if _, err = egress.Apply(ns, policy); err != nil || want.Egress != spec.EgressNone {
		return err
	}
	return n.disconnect(want.Name)
}

// disconnect takes the link away, and what the host does for it.
func (n *HostNetwork) disconnect(group string) error {
	link := n.linkName(group)
	err := errors.Join(netns.RemoveLink(link), n.uplink.Delete(link))
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.given, group)
	return err
}

func (n *HostNetwork) open(group string) (*os.File, error) {
	return netns.Open(n.layout.NetnsPath(group))
}

// policy is the wanted group's, with its cgroups found, or made, by name.
func (n *HostNetwork) policy(want *spec.Group, cgroup func(path string) (egress.Cgroup, error)) (p egress.Policy, err error) {
	if p.Ambassador, err = cgroup(n.layout.CgroupParent(want.Name, spec.Ambassador)); err != nil {
		return p, err
	}
	if p.Members, err = cgroup(n.layout.CgroupParent(want.Name, spec.App)); err != nil {
		return p, err
	}
	switch want.Egress {
	case spec.EgressNone:
		return egress.Policy{Mode: egress.Sealed}, nil
	case spec.EgressDirect:
		p.Mode = egress.Direct
	default:
		p.Mode = egress.Ambassador
	}
	a := want.Ambassador()
	if a == nil {
		return p, nil
	}
	for _, x := range a.Publish {
		p.Published = append(p.Published, egress.Port{Protocol: x.Protocol, Port: x.Port})
	}
	p.Allow, err = endpoints(want)
	return p, err
}

// endpoints is the wanted allow list. It binds the ambassador; where everybody may leave there is none.
func endpoints(want *spec.Group) ([]egress.Endpoint, error) {
	a := want.Ambassador()
	if a == nil || want.Egress == spec.EgressDirect {
		return nil, nil
	}
	var out []egress.Endpoint
	for _, x := range a.Allow {
		prefix, err := netip.ParsePrefix(x.Prefix)
		if err != nil {
			return nil, fmt.Errorf("allow of group %q: %w", want.Name, err)
		}
		out = append(out, egress.Endpoint{Prefix: prefix, Protocol: x.Protocol, Port: x.Port})
	}
	return out, nil
}

// Connect implements [Network].
func (n *HostNetwork) Connect(_ context.Context, want *spec.Group) error {
	pair, err := n.pair(want.Name)
	if err != nil {
		return err
	}
	entry, err := n.entry(want, pair)
	if err != nil {
		return err
	}
	if err := n.uplink.Ensure(); err != nil {
		return err
	}
	if err := n.uplink.Put(entry); err != nil { // before the link: it never carries a packet that the host does not judge
		return err
	}
	return netns.Apply(n.config(want, pair))
}

func (n *HostNetwork) config(want *spec.Group, pair addrs.Pair) netns.Config {
	return netns.Config{
		Path: n.layout.NetnsPath(want.Name),
		Link: &netns.Link{
			Name:      n.linkName(want.Name),
			Alias:     aliasPrefix + want.Name,
			Host:      pair.Host(),
			Group:     pair.Group(),
			Localhost: publishedOnLocalhost(want),
		},
	}
}

func publishedOnLocalhost(want *spec.Group) bool {
	a := want.Ambassador()
	return a != nil && slices.ContainsFunc(a.Publish, func(p spec.Publish) bool {
		addr, err := netip.ParseAddr(p.Address)
		return p.Address == "" || err == nil && addr.IsLoopback()
	})
}

func (n *HostNetwork) entry(want *spec.Group, pair addrs.Pair) (e uplink.Entry, err error) {
	e = uplink.Entry{Link: n.linkName(want.Name), Group: pair.Group()}
	if e.Allow, err = endpoints(want); err != nil {
		return e, err
	}
	if a := want.Ambassador(); a != nil {
		for _, x := range a.Publish {
			p := uplink.Publish{Protocol: x.Protocol, Host: x.Host, Port: x.Port}
			if x.Address != "" {
				if p.Address, err = netip.ParseAddr(x.Address); err != nil {
					return e, fmt.Errorf("publish %q of group %q: %w", x.Name, want.Name, err)
				}
			}
			e.Publish = append(e.Publish, p)
		}
	}
	return e, nil
}

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

// Observe implements [Network].
func (n *HostNetwork) Observe(_ context.Context, group string, want *spec.Group) (s NetState) {
	pinned, err := netns.Pinned(n.layout.NetnsPath(group))
	if s.Pinned = presence(pinned); err != nil {
		s.Pinned = n.unknown(group, err)
	}
	s.Namespace, s.Rules = n.observeRules(group, want)
	s.Link, s.Addrs = n.observeLink(group, want)
	return s
}

func (n *HostNetwork) observeRules(group string, want *spec.Group) (namespace, rules Presence) {
	ns, err := n.open(group)
	if errors.Is(err, os.ErrNotExist) {
		return Absent, Absent
	}
	if err != nil {
		return n.unknown(group, err), Unknown
	}
	defer ns.Close()
	denies, err := egress.Denies(ns)
	if err != nil {
		return n.unknown(group, err), Unknown
	}
	if !denies {
		return Absent, Absent
	}
	if want == nil {
		return Present, Present
	}
	policy, err := n.policy(want, n.cgroups.Find)
	if errors.Is(err, os.ErrNotExist) {
		return Present, Absent
	}
	if err != nil {
		return Present, n.unknown(group, err)
	}
	ok, err := egress.InForce(ns, policy)
	if err != nil {
		return Present, n.unknown(group, err)
	}
	return Present, presence(ok)
}

func (n *HostNetwork) observeLink(group string, want *spec.Group) (Presence, []string) {
	name := n.linkName(group)
	own, exists, err := netns.LinkAddresses(name)
	if err != nil {
		return n.unknown(group, err), nil
	}
	pair, ok := n.holding(own)
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
	if ok, err = netns.Observe(n.config(want, pair)); err == nil && ok {
		ok, err = n.uplink.InForce(entry)
	}
	if err != nil {
		return n.unknown(group, err), shown
	}
	return presence(ok), shown
}

func presence(ok bool) Presence {
	if ok {
		return Present
	}
	return Absent
}

func (n *HostNetwork) unknown(group string, err error) Presence {
	n.log.Warn("network could not be looked at", "group", group, "err", err)
	return Unknown
}

// Remove implements [Network]. It goes on where one part can't be removed, and returns all that could not.
func (n *HostNetwork) Remove(ctx context.Context, group string) error {
	return errors.Join(
		n.disconnect(group),
		netns.Remove(n.layout.NetnsPath(group)),
		n.removeCgroups(ctx, path.Join(n.layout.CgroupRoot, group)),
	)
}

// A process that was killed leaves its cgroup a moment after its end is known.
const (
	leaveWithin = 500 * time.Millisecond
	leaveEvery  = 10 * time.Millisecond
)

func (n *HostNetwork) removeCgroups(ctx context.Context, group string) error {
	deadline := time.Now().Add(leaveWithin)
	for {
		err := n.cgroups.Remove(group)
		if err == nil {
			n.cgroups.RemoveIfEmpty(n.layout.CgroupRoot)
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(leaveEvery):
		}
	}
}

// Counters reads what the rules of a group counted: who left, who tried to. A group without rules is os.ErrNotExist.
func (n *HostNetwork) Counters(group string) (egress.Counters, error) {
	ns, err := n.open(group)
	if err != nil {
		return egress.Counters{}, err
	}
	defer ns.Close()
	return egress.ReadCounters(ns)
}

// PortInUse says which process of the host holds the port that p would publish, "haproxy (pid 123)"; empty where none does.
// Ports that groups publish are not looked at: two groups that want one are told apart by [spec.Conflicts].
func (n *HostNetwork) PortInUse(p spec.Publish) (holder string, err error) {
	var addr netip.Addr
	if p.Address != "" {
		if addr, err = netip.ParseAddr(p.Address); err != nil {
			return "", fmt.Errorf("publish %q: %w", p.Name, err)
		}
	}
	return uplink.PortHolder(p.Protocol, addr, p.Host)
}
