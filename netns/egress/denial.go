package egress

import (
	"encoding/binary"
	"net/netip"
	"os"
	"time"

	"github.com/google/nftables"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// A Denial is what the processes of one container were refused on their way to one destination. Of a protocol without ports
// the destination's port is 0.
type Denial struct {
	Cgroup      uint64 // of the container: the one right below the policy's, which may be gone
	Protocol    byte   // unix.IPPROTO_TCP
	Destination netip.AddrPort
	ruleset.Counter
}

// Of each family so many destinations are remembered, each for so long after its last packet. Where all places are taken, a new
// destination is counted with all others and not by itself: a flood costs the kernel nothing more, and the daemon neither.
const (
	mostDenials  = 1024
	denialsStand = time.Hour
)

// denials are what is refused by container and destination.
var denials = ruleset.Destinations{Set4: denied4, Set6: denied6, Ported: ported, From: nftables.TypeCGroupV2, Size: mostDenials, Timeout: denialsStand}

// recordRules enter a packet that is about to be refused. A container's cgroup is the one below the ambassador's or the members';
// a process that is right in one of these is nobody's, and is not entered.
func recordRules(p Policy) []ruleset.Rule {
	if p.Mode != Ambassador {
		return nil
	}
	return denials.Rules(ruleset.FieldCgroup(p.Members.Level + 1))
}

// ReadDenials reads what the rules of a namespace have refused, in no order. Without a table of ours it is os.ErrNotExist.
func ReadDenials(ns *os.File) ([]Denial, error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var out []Denial
	for _, s := range denials.Filled() {
		found, err := ruleset.CountedElements(conn, TableName, s)
		if err != nil {
			return nil, err
		}
		for _, x := range found {
			out = append(out, parseDenial(x))
		}
	}
	return out, nil
}

func parseDenial(x ruleset.CountedElement) Denial {
	from, protocol, to := denials.Parse(x.Key)
	return Denial{Cgroup: binary.NativeEndian.Uint64(from), Protocol: protocol, Destination: to, Counter: x.Counter}
}
