// Package network makes the networks of groups on a real host: namespaces, rules, links and what
// the host does for them.
//
// Pitfall: the rules name cgroups by number. A cgroup that is removed and made again has another
// number, so the rules are no longer in force as wanted.
package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/addrs"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/conntrack"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// A Config configures a Network.
type Config struct {
	Layout layout.Layout // required
	// Separate keeps abstract unix sockets of ambassador and members apart. It needs a kernel that
	// can, as [Network.SelfTest] finds out.
	Separate bool
	// Signals makes the kernel report refusals. It needs a kernel that can, as [Network.SelfTest]
	// finds out. See [Network.TellDenials].
	Signals bool
	Log     *slog.Logger // optional: nil discards
}

// A Network is the [runner.Network] of a real host. It is safe for concurrent use, with one call at
// a time for each group. Everything that it remembers it could read from the host again, except the
// names of containers that are gone.
type Network struct {
	layout   layout.Layout
	separate bool
	log      *slog.Logger
	pool     addrs.Pool
	uplink   *uplink.Uplink
	cgroups  cgroup.Hierarchies
	flows    func(...netip.Addr) ([]conntrack.Flow, error) // [conntrack.With]
	refused  func(sourcesFunc) (map[string][]uplink.Refusal, error)
	sources  sourcesFunc                             // [uplink.Uplink.Sources]
	arm      func(again bool) (refusedByHost, error) // [uplink.Uplink.ArmRefused]
	tells    bool                                    // see [Config.Signals]
	signals  signals
	earlier  map[string]addrs.Pair // by group; see [Network.KeepAddresses], which alone writes it

	quietLinks linkMemory
	findings   foundGroups

	mu            sync.Mutex
	assigned      map[string]addrs.Pair // given to groups by this process; the link may not exist yet
	routesChecked bool
	names         map[string]cgroupNames // by group; see [Network.Denials]
	ambassadors   map[string]uint64      // by group: the cgroup of its ambassador, or of the last one
}

// New checks the configuration and finds the cgroup hierarchies. It changes nothing.
func New(c Config) (*Network, error) {
	log := c.Log
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	cgroups, err := cgroup.FindHierarchies()
	if err != nil {
		return nil, &hint.Error{Err: err, Hint: "mount cgroup v2; on a hybrid host, beside v1: mount -t cgroup2 none /sys/fs/cgroup/unified"}
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
	up, err := uplink.New(uplinkConfig(c.Layout, pool, nil, c.Signals))
	if err != nil {
		return nil, err
	}
	n := &Network{
		layout: c.Layout, separate: c.Separate, tells: c.Signals, log: log, pool: pool, uplink: up, cgroups: cgroups, flows: conntrack.With,
		earlier: map[string]addrs.Pair{}, assigned: map[string]addrs.Pair{}, names: map[string]cgroupNames{}, ambassadors: map[string]uint64{},
		signals: signals{armEvery: armEvery},
	}
	// The uplink may be replaced.
	n.sources = func() (map[string][]netip.Addr, error) { return n.uplink.Sources() }
	n.refused = func(sources sourcesFunc) (map[string][]uplink.Refusal, error) {
		refused, err := n.uplink.Refused()
		return refused, errors.Join(err, n.betweenGroups(refused, sources))
	}
	n.arm = func(again bool) (r refusedByHost, err error) {
		r.byLink, r.signal, err = n.uplink.ArmRefused(again)
		return r, errors.Join(err, n.betweenGroups(r.byLink, n.sources))
	}
	return n, nil
}

// uplinkConfig adds the NAT64 form of the groups' addresses to what is reserved on every host.
// earlier are prefixes of links whose addresses are not in the pool.
func uplinkConfig(l layout.Layout, pool addrs.Pool, earlier []netip.Prefix, signals bool) uplink.Config {
	reserved := append(spec.ReservedPrefixes(), spec.NAT64(pool.Prefix4))
	for _, p := range earlier {
		if p.Addr().Is4() {
			reserved = append(reserved, spec.NAT64(p))
		}
	}
	return uplink.Config{Table: l.Table, Forwarding: l.ForwardingPath(), Unjudged: l.UnjudgedPath(), Prefix4: pool.Prefix4, Prefix6: pool.Prefix6,
		Earlier: earlier, Reserved: reserved, Signals: signals}
}

// SelfTest proves that this host's kernel keeps the promise. If it fails, no group may start. The
// verdict has what differs from kernel to kernel.
func (n *Network) SelfTest(ctx context.Context) (egress.Verdict, error) {
	v, err := egress.SelfTest(ctx, n.layout.CgroupRoot)
	if lack, ok := errors.AsType[*egress.SelfTestError](err); ok {
		return v, &hint.Error{Err: fmt.Errorf("self-test: %w", err), Hint: lack.Hint}
	}
	if err != nil {
		return v, fmt.Errorf("self-test: %w", err)
	}
	return v, nil
}

// LinkAliasPrefix begins the alias of the host's end of every group's link. The group's name
// follows.
const LinkAliasPrefix = "sallyport:"

func (n *Network) linkName(group string) string { return netns.LinkName(n.layout.NetnsPath(group)) }

// Seal implements [runner.Network].
func (n *Network) Seal(_ context.Context, group string) error {
	n.quietLinks.forget(group)
	if err := netns.Apply(netns.Config{Path: n.layout.NetnsPath(group)}); err != nil {
		return err
	}
	defer n.changed(group)
	ns, err := n.open(group)
	if err != nil {
		return err
	}
	defer ns.Close()
	// Existing rules may stay. They deny what the sealed ones deny, except to the cgroups that they
	// admit. Admit puts the wanted ones in force.
	if ok, err := egress.Denies(ns); err != nil || ok {
		return err
	}
	_, err = egress.Apply(ns, egress.Policy{Mode: egress.Sealed, Opened: n.opened(ns, group), Signals: n.tells})
	return err
}

// Admit implements [runner.Network].
func (n *Network) Admit(_ context.Context, want *spec.Group) error {
	policy, err := n.policy(want, n.cgroups.Make)
	if err != nil {
		return err
	}
	if err := n.makeCgroups(want); err != nil {
		return err
	}
	ns, err := n.open(want.Name)
	if err != nil {
		return err
	}
	defer ns.Close()
	defer n.changed(want.Name)
	policy.Opened = n.opened(ns, want.Name)
	before, err := netns.ReservedPorts(ns)
	if err != nil {
		return err
	}
	if err := n.beginPings(ns, want); err != nil {
		return err
	}
	// While the rules change, the ports before and after are closed.
	ports := closedPorts(want)
	wide := ports.Union(before)
	if err := n.closePorts(ns, want, wide); err != nil {
		return err
	}
	if _, err := egress.Apply(ns, policy); err != nil {
		return explain(err, policy)
	}
	if !slices.Equal(wide, ports) {
		if err := n.closePorts(ns, want, ports); err != nil {
			return err
		}
	}
	// A setting that the kernel refuses keeps nothing open that the rules have closed.
	err = errors.Join(setSettings(ns, want), n.finishPings(ns, want), n.removeLeftCgroups(want))
	if want.Egress != spec.EgressNone {
		return err
	}
	return errors.Join(err, n.disconnect(want.Name))
}

// opened returns the UDP flows that the group has open, as the host tracks them, if its rules don't
// remember them: those of an older daemon, or none. Rules don't wait for it: if the flows can't be
// read, those that wait for an answer lose it.
func (n *Network) opened(ns *os.File, group string) (out []egress.Flow) {
	flows, err := n.unremembered(ns, group)
	if err != nil {
		n.log.Warn("the flows that are open could not be read", "group", group, "error", err)
	}
	for _, f := range flows {
		out = append(out, egress.Flow{Remote: f.To, Port: f.From.Port()})
	}
	return out
}

// unremembered returns what the host tracks of UDP that the group has opened.
func (n *Network) unremembered(ns *os.File, group string) ([]conntrack.Flow, error) {
	if ok, err := egress.Remembers(ns); err != nil || ok {
		return nil, err
	}
	own, _, err := netns.LinkAddresses(n.linkName(group))
	if err != nil {
		return nil, err
	}
	pair, ok := n.findPair(group, own)
	if !ok {
		return nil, nil
	}
	flows, err := n.flows(pair.Group()...)
	return slices.DeleteFunc(flows, func(f conntrack.Flow) bool {
		return f.Protocol != unix.IPPROTO_UDP || !slices.Contains(pair.Group(), f.From.Addr())
	}), err
}

// explainFlows adds a hint if the kernel can't list the flows that it tracks.
func explainFlows(err error) error {
	if errors.Is(err, conntrack.ErrUnsupported) {
		return &hint.Error{Err: err, Hint: "CONFIG_NF_CT_NETLINK is needed; try `modprobe nf_conntrack_netlink`"}
	}
	return err
}

// closePorts puts up the wanted fence, with these ports in it, and reserves them.
func (n *Network) closePorts(ns *os.File, want *spec.Group, ports netns.Ports) error {
	members := n.layout.CgroupParent(want.Name, spec.App)
	if !wantsFence(want) {
		return errors.Join(egress.Unfence(n.cgroups, members), n.eachSide(want.Name, egress.Join), netns.ReservePorts(ns, ports))
	}
	return errors.Join(egress.Fence(n.cgroups, members, ports), n.eachSide(want.Name, egress.Separate), netns.ReservePorts(ns, ports))
}

// eachSide calls do for the cgroups of the ambassador and of the members, if their abstract sockets
// are to be kept apart.
func (n *Network) eachSide(group string, do func(cgroup.Hierarchies, string) error) error {
	if !n.separate {
		return nil
	}
	return errors.Join(do(n.cgroups, n.layout.CgroupParent(group, spec.Ambassador)), do(n.cgroups, n.layout.CgroupParent(group, spec.App)))
}

// explain adds a hint if the kernel does not know an expression of the rules. The self-test has
// proved that it knows those of a plain policy.
func explain(err error, policy egress.Policy) error {
	switch {
	case !errors.Is(err, os.ErrNotExist):
		return err
	case policy.Intercept != 0:
		return &hint.Error{Err: err, Hint: "`intercept` needs CONFIG_NFT_CT, CONFIG_NFT_NAT and CONFIG_NFT_REDIR; try `modprobe nft_ct nft_nat nft_redir`"}
	case policy.Quota != 0:
		return &hint.Error{Err: err, Hint: "`quota` needs CONFIG_NFT_QUOTA; try `modprobe nft_quota`"}
	}
	return err
}

// disconnect removes the link and the host's entry for it.
func (n *Network) disconnect(group string) error {
	n.quietLinks.forget(group)
	defer n.changed(group)
	link := n.linkName(group)
	err := errors.Join(netns.RemoveLink(link), explainFlows(n.uplink.Delete(link)))
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.assigned, group)
	return err
}

func (n *Network) open(group string) (*os.File, error) {
	return netns.Open(n.layout.NetnsPath(group))
}

// Connect implements [runner.Network].
func (n *Network) Connect(_ context.Context, want *spec.Group) error {
	n.quietLinks.forget(want.Name)
	defer n.changed(want.Name) // the host's table may be new
	pair, err := n.pair(want.Name)
	if err != nil {
		return err
	}
	entry, err := n.entry(want, pair)
	if err != nil {
		return err
	}
	// The entry comes before the link, so that no packet passes the link without the host's rules.
	if err := n.uplink.Put(entry); err != nil {
		return explainFlows(err)
	}
	err = netns.Apply(n.config(want, pair))
	if errors.Is(err, netns.ErrNoRate) {
		return &hint.Error{Err: err, Hint: "try `modprobe sch_tbf`; without CONFIG_NET_SCH_TBF, take `rate` out of the ambassador's block"}
	}
	return err
}

// Remove implements [runner.Network]. If one part can't be removed, it goes on with the others. It
// returns the errors of all of them.
func (n *Network) Remove(ctx context.Context, group string) error {
	n.mu.Lock()
	delete(n.names, group)
	delete(n.ambassadors, group)
	n.mu.Unlock()
	n.signals.forget(group)
	defer n.changed(group)
	if ns, err := n.open(group); err == nil {
		if err := egress.Forget(ns); err != nil {
			n.log.Warn("rules stay remembered that are removed", "group", group, "error", err)
		}
		ns.Close()
	}
	return errors.Join(
		n.disconnect(group),
		netns.Remove(n.layout.NetnsPath(group)),
		n.removeCgroups(ctx, path.Join(n.layout.CgroupRoot, group)),
	)
}

// A killed process leaves its cgroup a moment after its end is known.
const (
	cgroupEmptyTimeout = 500 * time.Millisecond
	cgroupEmptyPoll    = 10 * time.Millisecond
)

func (n *Network) removeCgroups(ctx context.Context, group string) error {
	deadline := time.Now().Add(cgroupEmptyTimeout)
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
		case <-time.After(cgroupEmptyPoll):
		}
	}
}
