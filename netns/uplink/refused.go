package uplink

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// A Refusal counts the packets of a group that the host refused on their way to one destination.
// They are the ambassador's: no other packets come that far. The destination's port is 0 for a
// protocol without ports.
type Refusal struct {
	Protocol    byte // unix.IPPROTO_TCP
	Destination netip.AddrPort
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
// empty.
func (u *Uplink) Refused() (map[string][]Refusal, error) {
	refused := map[string][]Refusal{}
	if err := u.locked(func(conn *ruleset.Conn) error { return u.readRefused(conn, refused) }); err != nil {
		return nil, err
	}
	return refused, nil
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
	return u.eachRefusal(conn, func(_ ruleset.Set, x ruleset.CountedElement) {
		link := linkOf(x.Key)
		refused[link] = append(refused[link], parseRefusal(x))
	})
}

func (u *Uplink) eachRefusal(conn *ruleset.Conn, do func(ruleset.Set, ruleset.CountedElement)) error {
	for _, s := range refusals.Filled() {
		found, err := ruleset.CountedElements(conn, u.config.Table, s)
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

func parseRefusal(x ruleset.CountedElement) Refusal {
	_, protocol, to := refusals.Parse(x.Key)
	return Refusal{Protocol: protocol, Destination: to, Counter: x.Counter, Expires: x.Expires}
}

// forget deletes what was refused to a link, so that the next group of that name begins anew. If an
// element expires after it was read, the whole batch fails: it is then tried again.
func (u *Uplink) forget(conn *ruleset.Conn, link string) error {
	for tries := 10; ; tries-- { // not for ever: all callers share the lock
		gone := map[string][]nftables.SetElement{}
		if err := u.eachRefusal(conn, func(s ruleset.Set, x ruleset.CountedElement) {
			if linkOf(x.Key) == link {
				gone[s.Name] = append(gone[s.Name], nftables.SetElement{Key: x.Key})
			}
		}); err != nil || len(gone) == 0 {
			return err
		}
		for _, s := range refusals.Filled() {
			if err := ruleset.DeleteElements(conn, s.Handle(u.config.Table), gone[s.Name]); err != nil {
				return err
			}
		}
		if err := conn.Commit(); tries == 0 || !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
}
