package egress

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/google/nftables"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// A Denial counts the packets of one container that were refused on their way to one destination.
// The destination's port is 0 for a protocol without ports.
type Denial struct {
	Cgroup      uint64 // of the container: the one directly below the policy's; it may be gone
	Protocol    byte   // unix.IPPROTO_TCP
	Destination netip.AddrPort
	ruleset.Counter
	Expires time.Duration // until the kernel forgets it, if no packet follows
}

// The sets hold at most mostDenials destinations of each family, each until denialsStand after its
// last packet. While a set is full, a new destination is only counted together with all others. So
// a flood costs neither the kernel nor the daemon more.
const (
	mostDenials  = 1024
	denialsStand = time.Hour
)

// denials are the sets of refused packets by container and destination.
var denials = ruleset.Destinations{Set4: denied4, Set6: denied6, Ported: ported, From: nftables.TypeCGroupV2, Size: mostDenials, Timeout: denialsStand}

// recordRules add a packet that is about to be refused to the sets. A container's cgroup is
// directly below the ambassador's or the members'. A process directly in one of these belongs to no
// container: its packets are not added.
func recordRules(p Policy) []ruleset.Rule {
	if p.Mode != Ambassador {
		return nil
	}
	rules := denials.Rules(ruleset.FieldCgroup(p.Members.Level + 1))
	if p.Signals {
		// It comes last. So a reader who has armed the signal finds what was recorded before.
		rules = append(rules, ruleset.NewRule("", ruleset.Signal(refusedSignal)))
	}
	return rules
}

// Counts hold the refusals of a namespace, and how much of its quota is spent.
type Counts struct {
	Denials     []Denial         // in no order
	Inbound     []ruleset.Origin // of packets that were dropped on their way in; none with rules of an older daemon
	Used, Quota uint64           // of the ambassador's quota, in bytes, at most all of it; a Quota of 0: none
	// Signal is whether the kernel reports the next change of these counts; see [Policy.Signals].
	Signal ruleset.SignalState
}

// ReadCounts reads what the rules of a namespace have refused, and what of the ambassador's quota
// is spent. Before that it arms the signal of refusals, again if it was sent and again is true.
// Without our table the error is os.ErrNotExist. With another error it has what could be read.
func ReadCounts(ns *os.File, again bool) (c Counts, err error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return c, err
	}
	defer conn.Close()
	// This comes first: what is refused after it is told, and what was refused before is read.
	if c.Signal, err = conn.Arm(TableName, refusedSignal, again); err != nil {
		return c, err
	}
	if c.Denials, err = readDenials(conn); errors.Is(err, os.ErrNotExist) {
		return c, err
	}
	err = errors.Join(err, inbound.Read(conn, TableName, func(_ ruleset.Set, _ []byte, o ruleset.Origin) { c.Inbound = append(c.Inbound, o) }))
	var spentErr error
	c.Used, c.Quota, spentErr = readSpent(conn)
	return c, errors.Join(err, spentErr)
}

// ReadDenials is [ReadCounts] without the quota.
func ReadDenials(ns *os.File) ([]Denial, error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return readDenials(conn)
}

func readDenials(conn *ruleset.Conn) (out []Denial, err error) {
	for _, s := range denials.Filled() {
		found, readErr := ruleset.CountedElements(conn, TableName, s)
		if errors.Is(readErr, os.ErrNotExist) {
			return nil, readErr
		}
		err = errors.Join(err, readErr)
		for _, x := range found {
			out = append(out, parseDenial(x))
		}
	}
	return out, err
}

func parseDenial(x ruleset.CountedElement) Denial {
	from, protocol, to := denials.Parse(x.Key)
	return Denial{Cgroup: binary.NativeEndian.Uint64(from), Protocol: protocol, Destination: to, Counter: x.Counter, Expires: x.Expires}
}
