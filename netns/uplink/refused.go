package uplink

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// A Refusal counts the packets of a group that the host refused on their way to one destination.
// They are the ambassador's: no other packets come that far. The destination's port is 0 for a
// protocol without ports.
//
// An inbound one counts the packets that the host dropped on their way to the group. Its
// Destination is the port alone.
type Refusal struct {
	Protocol    byte // unix.IPPROTO_TCP
	Destination netip.AddrPort
	Inbound     bool
	Source      netip.Addr // of an inbound one; invalid: see [ruleset.Origin]
	ruleset.Counter
	Expires time.Duration // until the kernel forgets it, if no packet follows
}

// RefusedSignal is the object of the table whose message the kernel sends when it has refused
// something to a group; see [ruleset.Signal].
const RefusedSignal = "refused_signal"

// The sets hold at most mostRefusals destinations of each family, of all groups together, each
// until refusalsStand after its last packet. While a set is full, a new destination is only counted
// together with all others.
const (
	mostRefusals  = 4096
	refusalsStand = time.Hour
)

// refusals are the sets of refused packets by link and destination.
var refusals = ruleset.Destinations{Set4: refused4, Set6: refused6, Ported: ported, From: nftables.TypeIFName, Size: mostRefusals, Timeout: refusalsStand}

// inbound are the sets of packets that were dropped on their way to a group, by its link and their
// source. They hold as many as those of refused packets, and are others: who sends to groups can't
// hide what groups try.
var inbound = ruleset.Origins{Name: "inbound", Ported: ported, Size: mostRefusals, Timeout: refusalsStand}

const (
	chainKeepOut = "keep_out"
	recordIn     = "record_in"
)

// inboundChains drop what is sent to a group uninvited, and record it if it is for the group's own
// address. What is for a group of hosts, such as mDNS, is no one's attempt to reach the group.
func inboundChains(c Config) []ruleset.Chain {
	v4, v6 := ruleset.Family(unix.NFPROTO_IPV4), ruleset.Family(unix.NFPROTO_IPV6)
	record := []ruleset.Rule{ruleset.NewRule("", ruleset.Jump(ruleset.EnterOrigin))}
	if c.Signals {
		record = append(record, ruleset.NewRule("", ruleset.Signal(RefusedSignal))) // last, as in refuseRules
	}
	return append([]ruleset.Chain{
		{Name: chainKeepOut, Rules: []ruleset.Rule{
			ruleset.NewRule("", v4, ruleset.In(source4, ruleset.FieldOIFName, ruleset.FieldDest4), ruleset.Jump(recordIn)),
			ruleset.NewRule("", v6, ruleset.In(source6, ruleset.FieldOIFName, ruleset.FieldDest6), ruleset.Jump(recordIn)),
			ruleset.NewRule("", ruleset.Count(chainUninvited), ruleset.Drop()),
		}},
		{Name: recordIn, Rules: record},
	}, inbound.Chains(ruleset.FieldOIFName)...)
}

// refuseRules add refused packets to the sets, count them and answer them.
func refuseRules(c Config) []ruleset.Rule {
	rules := refusals.Rules(ruleset.FieldIIFName)
	if c.Signals {
		rules = append(rules, ruleset.NewRule("", ruleset.Signal(RefusedSignal)))
	}
	return append(rules,
		ruleset.NewRule("", ruleset.Count(chainRefused)),
		ruleset.NewRule("", ruleset.L4Proto(unix.IPPROTO_TCP), ruleset.RejectTCP()),
		ruleset.NewRule("", ruleset.Reject()))
}

// Refused reads what the host refused to the groups, by link and in no order. Without a table it is
// empty. With an error it has what could be read.
func (u *Uplink) Refused() (map[string][]Refusal, error) {
	refused := map[string][]Refusal{}
	return refused, u.locked(func(conn *ruleset.Conn) error { return u.readRefused(conn, refused) })
}

// ArmRefused is [Uplink.Refused] after it has armed [RefusedSignal], which [ruleset.Conn.Arm]
// explains. A table of an older daemon has no signal. Before there is a table, nothing is refused,
// and the signal of a new one is armed.
func (u *Uplink) ArmRefused(again bool) (refused map[string][]Refusal, signal ruleset.SignalState, err error) {
	refused = map[string][]Refusal{}
	err = u.locked(func(conn *ruleset.Conn) error {
		if signal, err = conn.Arm(u.config.Table, RefusedSignal, again); err != nil {
			return err
		}
		if there, err := ruleset.Exists(conn, u.config.Table); err != nil || !there {
			if u.config.Signals {
				signal = ruleset.Armed
			}
			return err
		}
		return u.readRefused(conn, refused)
	})
	if err != nil {
		return nil, ruleset.NoSignal, err
	}
	return refused, signal, nil
}

func (u *Uplink) readRefused(conn *ruleset.Conn, refused map[string][]Refusal) error {
	return u.eachRefusal(conn, func(_ ruleset.Set, key []byte, r Refusal) {
		link := linkOf(key)
		refused[link] = append(refused[link], r)
	})
}

// eachRefusal calls do with each refusal. A set that can't be read keeps back no other.
func (u *Uplink) eachRefusal(conn *ruleset.Conn, do func(set ruleset.Set, key []byte, r Refusal)) (err error) {
	for _, s := range refusals.Filled() {
		found, readErr := ruleset.CountedElements(conn, u.config.Table, s)
		if errors.Is(readErr, os.ErrNotExist) {
			return err
		}
		err = errors.Join(err, readErr)
		for _, x := range found {
			do(s, x.Key, parseRefusal(x))
		}
	}
	return errors.Join(err, inbound.Read(conn, u.config.Table, func(s ruleset.Set, key []byte, o ruleset.Origin) {
		do(s, key, Refusal{
			Inbound: true, Source: o.Source, Protocol: o.Protocol, Destination: netip.AddrPortFrom(netip.Addr{}, o.Port), Counter: o.Counter, Expires: o.Expires,
		})
	}))
}

func parseRefusal(x ruleset.CountedElement) Refusal {
	_, protocol, to := refusals.Parse(x.Key)
	return Refusal{Protocol: protocol, Destination: to, Counter: x.Counter, Expires: x.Expires}
}

// forget deletes what was refused to a link, so that the next group of that name begins anew. If an
// element expires after it was read, the whole batch fails: it is then tried again.
func (u *Uplink) forget(conn *ruleset.Conn, link string) error {
	for tries := 10; ; tries-- { // not for ever: all callers share the lock
		gone := map[string][]nftables.SetElement{}
		if err := u.eachRefusal(conn, func(s ruleset.Set, key []byte, _ Refusal) {
			if linkOf(key) == link {
				gone[s.Name] = append(gone[s.Name], nftables.SetElement{Key: key})
			}
		}); err != nil || len(gone) == 0 {
			return err
		}
		for _, s := range slices.Concat(refusals.Filled(), inbound.Counted()) {
			if err := ruleset.DeleteElements(conn, s.Handle(u.config.Table), gone[s.Name]); err != nil {
				return err
			}
		}
		if err := conn.Commit(); tries == 0 || !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
}
