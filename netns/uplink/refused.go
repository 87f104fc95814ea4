package uplink

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// A Refusal is what a group was refused by the host on its way to one destination: its ambassador's, as nobody else's packets
// come that far. Of a protocol without ports the destination's port is 0.
type Refusal struct {
	Protocol    byte // unix.IPPROTO_TCP
	Destination netip.AddrPort
	ruleset.Tally
}

// Of each family so many destinations are remembered, of all groups together, each for so long after its last packet. Where all
// places are taken, a new destination is only counted with all others.
const (
	mostRefusals  = 4096
	refusalsStand = time.Hour
)

// refusalSets are what is refused by link and destination; the rules fill them.
func refusalSets() []ruleset.Set {
	set := func(name string, address nftables.SetDatatype) ruleset.Set {
		return ruleset.NewDynamicSet(name, mostRefusals, refusalsStand, nftables.TypeIFName, nftables.TypeInetProto, address, nftables.TypeInetService)
	}
	return []ruleset.Set{set(refused4, nftables.TypeIPAddr), set(refused6, nftables.TypeIP6Addr)}
}

// portedSet holds the protocols that have ports.
func portedSet() ruleset.Set {
	s := ruleset.NewSet(ported, nftables.TypeInetProto)
	for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP} {
		s.Elements = append(s.Elements, nftables.SetElement{Key: []byte{proto}})
	}
	return s
}

// refuseRules enter what is refused into the sets, count it and answer it.
func refuseRules() []ruleset.Rule {
	record := func(family byte, set string, address ruleset.Field) []ruleset.Rule {
		return []ruleset.Rule{
			ruleset.NewRule("", ruleset.In(ported, ruleset.FieldL4Proto), ruleset.Family(family),
				ruleset.Update(set, ruleset.FieldIIFName, ruleset.FieldL4Proto, address, ruleset.FieldDPort)),
			ruleset.NewRule("", ruleset.NotIn(ported, ruleset.FieldL4Proto), ruleset.Family(family),
				ruleset.Update(set, ruleset.FieldIIFName, ruleset.FieldL4Proto, address, ruleset.FieldNoPort)),
		}
	}
	rules := append(record(unix.NFPROTO_IPV4, refused4, ruleset.FieldDest4), record(unix.NFPROTO_IPV6, refused6, ruleset.FieldDest6)...)
	return append(rules,
		ruleset.NewRule("", ruleset.Count(chainRefused)),
		ruleset.NewRule("", ruleset.L4Proto(unix.IPPROTO_TCP), ruleset.RejectTCP()),
		ruleset.NewRule("", ruleset.Reject()))
}

// Refused reads what the groups were refused, by link and in no order. Without a table it is empty.
func (u *Uplink) Refused() (map[string][]Refusal, error) {
	out := map[string][]Refusal{}
	err := u.locked(func(conn *ruleset.Conn) error {
		return u.eachRefusal(conn, func(_ ruleset.Set, x ruleset.Tallied) {
			link := linkOf(x.Key)
			out[link] = append(out[link], parseRefusal(x))
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (u *Uplink) eachRefusal(conn *ruleset.Conn, do func(ruleset.Set, ruleset.Tallied)) error {
	for _, s := range refusalSets() {
		found, err := ruleset.Tallies(conn, u.config.Table, s)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, x := range found {
			do(s, x)
		}
	}
	return nil
}

// parseRefusal takes a key apart: link, protocol, address, port, each padded to four bytes.
func parseRefusal(x ruleset.Tallied) Refusal {
	address, port := x.Key[20:len(x.Key)-4], x.Key[len(x.Key)-4:]
	addr, _ := netip.AddrFromSlice(address)
	return Refusal{Protocol: x.Key[16], Destination: netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port)), Tally: x.Tally}
}

// forget takes away what was refused to links that live does not name, so that the next group of that name begins anew. An
// element that expires after it was read has the batch fail whole: look again.
func (u *Uplink) forget(conn *ruleset.Conn, live func(link string) bool) error {
	for {
		gone := map[string][]nftables.SetElement{}
		if err := u.eachRefusal(conn, func(s ruleset.Set, x ruleset.Tallied) {
			if !live(linkOf(x.Key)) {
				gone[s.Name] = append(gone[s.Name], nftables.SetElement{Key: x.Key})
			}
		}); err != nil || len(gone) == 0 {
			return err
		}
		for _, s := range refusalSets() {
			if err := ruleset.DeleteElements(conn, s.Handle(u.config.Table), gone[s.Name]); err != nil {
				return err
			}
		}
		if err := conn.Commit(); !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
}
