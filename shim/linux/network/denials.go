package network

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// cgroupNames are the names of containers by the number of their cgroup. The kernel gives no number
// twice. A container that leaves the definition and comes back has a new one, and so has each start
// of a container that an older daemon made.
type cgroupNames map[uint64]string

// maxNames is how many names are kept of one group. Above it, the names of containers that are gone
// and were refused nothing are forgotten. It is far more than the kernel remembers denials of.
const maxNames = 4096

// Counts implements [denials.Door]. The kernel remembers a destination until an hour after its last
// packet, and 1024 of each family. Packets that the host's rules refused, and not those of the
// namespace, count for the ambassador. What another group's ambassador was refused on its way to
// the group is inbound for this one. What can't be read keeps back nothing else.
func (n *Network) Counts(groups []string) []host.DoorCounts {
	out := make([]host.DoorCounts, len(groups))
	if len(groups) == 0 {
		return out
	}
	sources := sync.OnceValues(n.sources)
	refused, err := n.refused(sources)
	if err != nil {
		err = &hostCountsError{err}
	}
	for i, group := range groups {
		out[i] = n.doorCounts(group, refused[n.linkName(group)], sources)
		if err != nil && !errors.Is(out[i].Err, fs.ErrNotExist) {
			out[i].Err = errors.Join(out[i].Err, err)
		}
	}
	return out
}

// A hostCountsError is why what concerns the whole host could not be read. It hides the error: its
// fs.ErrNotExist would stand for a group without rules.
type hostCountsError struct{ err error }

func (e *hostCountsError) Error() string { return "the host's rules: " + e.err.Error() }

// A sourcesFunc returns the addresses of the groups by link. It is [uplink.Uplink.Sources].
type sourcesFunc func() (map[string][]netip.Addr, error)

// doorCounts reads the counts of one group. refused holds the host's refusals to it.
func (n *Network) doorCounts(group string, refused []uplink.Refusal, sources sourcesFunc) (c host.DoorCounts) {
	ns, err := n.open(group)
	if err != nil {
		c.Err, c.Told = err, n.signals.told(err)
		return c
	}
	defer ns.Close()
	heard := n.signals.hears(group, ns) // before the signal is armed
	found, err := egress.ReadCounts(ns, n.signals.again(group))
	if c.Err = err; errors.Is(err, fs.ErrNotExist) {
		c.Told = n.signals.told(err)
		return c
	}
	c.Used, c.Quota, c.Told = found.Used, found.Quota, n.signals.armed(group, found.Signal) && heard
	// The names come after the denials: a container has its cgroup before it is refused something.
	n.recordNames(group)
	ambassador := n.ambassadorCgroup(group)
	for _, x := range refused {
		if x.Inbound {
			found.Inbound = append(found.Inbound, ruleset.Origin{Source: x.Source, Protocol: x.Protocol, Port: x.Destination.Port(), Counter: x.Counter, Expires: x.Expires})
			continue
		}
		found.Denials = append(found.Denials, egress.Denial{Cgroup: ambassador, Protocol: x.Protocol, Destination: x.Destination, Counter: x.Counter, Expires: x.Expires})
	}
	for _, x := range found.Denials {
		c.Expires = sooner(c.Expires, x.Expires)
	}
	for _, x := range found.Inbound {
		c.Expires = sooner(c.Expires, x.Expires)
	}
	c.Denials = n.withNames(group, found.Denials)
	if c.Inbound, err = n.inbound(group, found.Inbound, sources); err != nil {
		c.Err = errors.Join(c.Err, &hostCountsError{err})
	}
	return c
}

// Denials returns what the containers of one group were refused, by container, protocol and
// destination. If the group has no rules, the error is os.ErrNotExist. With any other error, there
// may be more than is returned.
func (n *Network) Denials(group string) ([]host.Denial, error) {
	c := n.Counts([]string{group})[0]
	return c.Denials, c.Err
}

// ambassadorCgroup returns the number of the cgroup of a group's ambassador. If there is none now,
// it returns the last one that was seen. Zero means that none was ever seen.
func (n *Network) ambassadorCgroup(group string) uint64 {
	all, _ := n.containerCgroups(group)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range all {
		if path.Dir(c.path) == n.layout.CgroupParent(group, spec.Ambassador) {
			n.ambassadors[group] = c.ID
		}
	}
	return n.ambassadors[group]
}

// Spent returns how many bytes of its quota a group's ambassador has used, and the quota. used is
// never above quota. A quota of zero means that it has none. If the group has no namespace, the
// error is os.ErrNotExist.
func (n *Network) Spent(group string) (used, quota uint64, err error) {
	ns, err := n.open(group)
	if err != nil {
		return 0, 0, err
	}
	defer ns.Close()
	return egress.ReadSpent(ns)
}

// withNames adds up denials by the names of containers. The denials of a container and of its
// earlier starts become one.
func (n *Network) withNames(group string, found []egress.Denial) []host.Denial {
	n.mu.Lock()
	defer n.mu.Unlock()
	names := n.names[group]
	sum := map[host.Denial]host.Denial{} // by the denial without its counts
	for _, x := range found {
		d := host.Denial{Container: names[x.Cgroup], Protocol: protocolName(x.Protocol), Destination: x.Destination}
		total, ok := sum[d]
		if !ok {
			total = d
		}
		total.Packets += x.Packets
		total.Bytes += x.Bytes
		sum[d] = total
	}
	out := slices.SortedFunc(maps.Values(sum), func(a, b host.Denial) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Protocol, b.Protocol), a.Destination.Compare(b.Destination))
	})
	if len(names) > maxNames {
		n.names[group] = n.usedNames(group, names, found)
	}
	return out
}

// recordNames reads the names of the containers that a group has now. The denials of a container
// that can't be read have no name.
func (n *Network) recordNames(group string) {
	all, _ := n.containerCgroups(group)
	n.keepNames(group, all)
}

// keepNames keeps the names of containers that have these cgroups.
func (n *Network) keepNames(group string, all []containerCgroup) {
	if len(all) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names[group] == nil {
		n.names[group] = cgroupNames{}
	}
	for _, c := range all {
		n.names[group][c.ID] = c.name
	}
}

// currentNames returns the names of the containers that a group has now.
func (n *Network) currentNames(group string) cgroupNames {
	out := cgroupNames{}
	all, _ := n.containerCgroups(group)
	for _, c := range all {
		out[c.ID] = c.name
	}
	return out
}

// usedNames returns the names of containers that exist or were refused something.
func (n *Network) usedNames(group string, names cgroupNames, found []egress.Denial) cgroupNames {
	out := n.currentNames(group)
	for _, x := range found {
		if name, ok := names[x.Cgroup]; ok {
			out[x.Cgroup] = name
		}
	}
	return out
}

func protocolName(number byte) string {
	switch number {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_ICMPV6:
		return "ipv6-icmp"
	}
	return strconv.Itoa(int(number))
}
