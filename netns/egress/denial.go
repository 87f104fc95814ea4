package egress

import (
	"encoding/binary"
	"net/netip"
	"os"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// A Denial is what the processes of one container were refused on their way to one destination. Of a protocol without ports
// the destination's port is 0.
type Denial struct {
	Cgroup      uint64 // of the container: the one right below the policy's, which may be gone
	Protocol    byte   // unix.IPPROTO_TCP
	Destination netip.AddrPort
	ruleset.Tally
}

// Of each family so many destinations are remembered, each for so long after its last packet. Where all places are taken, a new
// destination is counted with all others and not by itself: a flood costs the kernel nothing more, and the daemon neither.
const (
	mostDenials  = 1024
	denialsStand = time.Hour
)

// denialSets are what is refused by container and destination, and the protocols that have ports.
func denialSets() []ruleset.Set {
	withPorts := ruleset.NewSet(ported, nftables.TypeInetProto)
	for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP} {
		withPorts.Elements = append(withPorts.Elements, nftables.SetElement{Key: []byte{proto}})
	}
	set := func(name string, address nftables.SetDatatype) ruleset.Set {
		return ruleset.NewDynamicSet(name, mostDenials, denialsStand, nftables.TypeCGroupV2, nftables.TypeInetProto, address, nftables.TypeInetService)
	}
	return []ruleset.Set{withPorts, set(denied4, nftables.TypeIPAddr), set(denied6, nftables.TypeIP6Addr)}
}

// recordRules enter a packet that is about to be refused. A container's cgroup is the one below the ambassador's or the members';
// a process that is right in one of these is nobody's, and is not entered.
func recordRules(p Policy) []ruleset.Rule {
	if p.Mode != Ambassador {
		return nil
	}
	container := ruleset.FieldCgroup(p.Members.Level + 1)
	rule := func(family byte, set string, address ruleset.Field) []ruleset.Rule {
		return []ruleset.Rule{
			ruleset.NewRule("", ruleset.In(ported, ruleset.FieldL4Proto), ruleset.Family(family),
				ruleset.Update(set, container, ruleset.FieldL4Proto, address, ruleset.FieldDPort)),
			ruleset.NewRule("", ruleset.NotIn(ported, ruleset.FieldL4Proto), ruleset.Family(family),
				ruleset.Update(set, container, ruleset.FieldL4Proto, address, ruleset.FieldNoPort)),
		}
	}
	return append(rule(unix.NFPROTO_IPV4, denied4, ruleset.FieldDest4), rule(unix.NFPROTO_IPV6, denied6, ruleset.FieldDest6)...)
}

// ReadDenials reads what the rules of a namespace have refused, in no order. Without a table of ours it is os.ErrNotExist.
func ReadDenials(ns *os.File) ([]Denial, error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var out []Denial
	for _, s := range denialSets() {
		if !s.Dynamic {
			continue
		}
		found, err := ruleset.Tallies(conn, TableName, s)
		if err != nil {
			return nil, err
		}
		for _, x := range found {
			out = append(out, parseDenial(x))
		}
	}
	return out, nil
}

// parseDenial takes a key apart: cgroup, protocol, address, port, each padded to four bytes.
func parseDenial(x ruleset.Tallied) Denial {
	address, port := x.Key[12:len(x.Key)-4], x.Key[len(x.Key)-4:]
	addr, _ := netip.AddrFromSlice(address)
	return Denial{
		Cgroup:      binary.NativeEndian.Uint64(x.Key),
		Protocol:    x.Key[8],
		Destination: netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port)),
		Tally:       x.Tally,
	}
}
