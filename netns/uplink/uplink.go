// Package uplink is the host's side of the groups' links: forwarding and masquerade, published
// ports, and the rules that keep a group from the host, from other groups and from cloud metadata.
// It is one nftables table whose rules never change. Groups are elements of its sets and maps, so
// the cost of a packet does not grow with their number.
//
// Pitfall: this is the second layer. Flushing it cuts groups off or, at worst, lets an
// ambassador talk to the host. It never lets a member out: the table inside the group's namespace
// prevents that.
package uplink

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/conntrack"
	"github.com/sallyport/sallyport/netns/kernfile"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// A Config names the table and its addresses.
type Config struct {
	Table   string       // required: name of the inet table
	Prefix4 netip.Prefix // required: the links' addresses are out of it
	Prefix6 netip.Prefix // optional
	// Earlier are prefixes of links that have addresses of an earlier configuration. They are
	// treated as Prefix4 and Prefix6.
	Earlier []netip.Prefix
	// Forwarding is the file that remembers which links could not reach each other before
	// [Uplink.Ensure] turned forwarding on, until the host boots again: see [ReadStrangers]. Who
	// removes it lets them. Empty means that all of them may.
	Forwarding string
	// Unjudged is the file with the addresses whose rules have changed and whose flows have not
	// been judged since; see flows.go. It must not outlive a boot. Empty means that only this
	// process remembers them.
	Unjudged string
	// Reserved are addresses that no group reaches unless its allow list names them, such as
	// metadata services. Required.
	Reserved []netip.Prefix
	// Signals means that the kernel reports what the rules refuse; see [RefusedSignal]. It needs
	// CONFIG_NFT_QUOTA.
	Signals bool
}

// An Uplink is the host's table. It is safe for concurrent use within a process.
type Uplink struct {
	config Config
	table  ruleset.Table
	mu     sync.Mutex // held while one caller reads, compares and writes

	strangers Strangers       // that the table was made for
	forwarded map[string]bool // families that the host forwarded before; see findStrangers
	outdated  bool            // the table was made anew and is not in force yet

	forwards4, forwards6 kernfile.Kept // see Forwards

	known   index              // as of knownAt. Its maps are nil before the first read
	knownAt ruleset.Generation // zero: the table has to be read again
	altered bool               // others have changed what was known since the last Unchanged

	flows        func(...netip.Addr) ([]conntrack.Flow, error) // [conntrack.With]
	pending      []netip.Addr                                  // see unjudged
	unjudgedRead bool                                          // pending has what the file had
}

// An Entry has the rights of one link. A link's name is that of its host's end.
type Entry struct {
	Link    string       // required: it begins with [netns.LinkPrefix]
	Group   []netip.Addr // required: the group's own addresses, the only ones it may send from
	Publish []Publish    // ports of the host that lead to the group
	// Allow are the destinations to which it may open flows. Nil means anywhere but
	// [Config].Reserved, the host and other groups. An empty list that is not nil means nowhere.
	Allow []ruleset.Endpoint
}

// A Publish sends a port of the host to a port of the group.
type Publish struct {
	Protocol string     // "tcp" or "udp"
	Address  netip.Addr // of the host; the zero value: every address of both families
	Host     uint16
	Port     uint16
}

// New returns the uplink of a table; it changes nothing yet.
func New(c Config) (*Uplink, error) {
	if c.Table == "" || !c.Prefix4.IsValid() || !c.Prefix4.Addr().Is4() {
		return nil, errors.New("uplink: no table name, or no IPv4 prefix")
	}
	if len(c.Reserved) == 0 {
		return nil, errors.New("uplink: no reserved prefixes: groups would reach metadata services")
	}
	return &Uplink{config: c, table: createTable(c, nil), forwarded: map[string]bool{}, flows: conntrack.With,
		forwards4: kernfile.Kept{Path: sysctls + ipv4.key}, forwards6: kernfile.Kept{Path: sysctls + ipv6.key}}, nil
}

// Ensure makes the table and then turns forwarding on. A correct table is left alone. Entries
// survive as long as its shape is right.
func (u *Uplink) Ensure() error {
	return u.locked(func(conn *ruleset.Conn) error {
		if err := u.ensure(conn); err != nil {
			return err
		}
		// Entries don't wait for flows. What is not judged now is not in force, and Put returns
		// why.
		_ = u.judge(conn, withEntry)
		return nil
	})
}

func (u *Uplink) ensure(conn *ruleset.Conn) error {
	if err := u.findStrangers(); err != nil {
		return err
	}
	if err := u.refresh(); err != nil {
		return err
	}
	if err := u.apply(conn); err != nil {
		return err
	}
	u.outdated = false
	return forward(u.families())
}

// apply puts the table in force. If it differed, the flows of all groups are to be judged.
func (u *Uplink) apply(conn *ruleset.Conn) error {
	if ok, err := ruleset.Matches(conn, u.table); err != nil || ok {
		return err
	}
	all, err := u.read(conn)
	if err != nil {
		return err
	}
	if err := u.expect(conn, all.sources()...); err != nil {
		return err
	}
	_, err = ruleset.Apply(conn, u.table)
	return err
}

// refresh makes the table's value anew if the file of strangers has changed.
func (u *Uplink) refresh() error {
	now, err := ReadStrangers(u.config.Forwarding)
	if err != nil || now.equal(u.strangers) {
		return err
	}
	u.strangers, u.table, u.outdated = now, createTable(u.config, now), true
	return nil
}

// InForce reports whether the host forwards, the table is whole and holds exactly this entry for
// the entry's link, and no flow of the group may be left that the rules refuse.
func (u *Uplink) InForce(e Entry) (bool, error) {
	if !u.Forwards() {
		return false, nil
	}
	return u.Holds(e)
}

// Holds is [Uplink.InForce] without forwarding.
func (u *Uplink) Holds(e Entry) (ok bool, err error) {
	err = u.alone(func() error {
		if ok = u.isKnownToHold(e); ok {
			return nil
		}
		ok, err = u.reads(e)
		return err
	})
	return ok && err == nil, err
}

// isKnownToHold reports whether the table is as it was last read or written, and holds exactly this
// entry for the entry's link. It costs one request. False means that the table has to be read.
func (u *Uplink) isKnownToHold(e Entry) bool {
	at, err := ruleset.Glance()
	if err != nil || at != u.knownAt || !at.Matches(u.table) || !u.unjudgedRead && u.config.Unjudged != "" {
		return false
	}
	add, del := u.differ(&u.known, e)
	return len(add)+len(del) == 0 && !isPending(u.pending, e)
}

// reads reads the table and reports whether it is whole and holds exactly this entry.
func (u *Uplink) reads(e Entry) (ok bool, err error) {
	err = connected(func(conn *ruleset.Conn) error {
		if ok, err = ruleset.Matches(conn, u.table); err != nil || !ok {
			return err
		}
		add, del, err := u.diff(conn, e)
		if ok = len(add)+len(del) == 0; err != nil || !ok {
			return err
		}
		pending, err := u.unjudged(conn)
		ok = !isPending(pending, e)
		return err
	})
	return ok && err == nil, err
}

// isPending reports whether one of the addresses is of the entry's group.
func isPending(addresses []netip.Addr, e Entry) bool {
	return slices.ContainsFunc(addresses, func(a netip.Addr) bool { return slices.Contains(e.Group, a) })
}

// Put does what [Uplink.Ensure] does. Then it makes this the only entry of the link, in one batch,
// and deletes the flows that the rules refuse now. No [Uplink.Delete] of another link comes in
// between, which may delete the table.
func (u *Uplink) Put(e Entry) error {
	if err := e.validate(); err != nil {
		return err
	}
	return u.locked(func(conn *ruleset.Conn) error {
		if err := u.ensure(conn); err != nil {
			return err
		}
		add, del, err := u.diff(conn, e)
		if err != nil {
			return err
		}
		own := append(sources(del), e.Group...)
		if len(add)+len(del) > 0 {
			if err := u.expect(conn, own...); err != nil {
				return err
			}
			if err := u.change(conn, add, del); err != nil {
				return fmt.Errorf("table %q, link %q: %w", u.config.Table, e.Link, err)
			}
		}
		return u.judge(conn, func(a netip.Addr, hasEntry bool) bool { return hasEntry || slices.Contains(own, a) })
	})
}

// Delete deletes the entry of a link and the flows of its group. With the last link it turns off
// the forwarding that [Uplink.Ensure] turned on, and deletes the table. If links were made
// meanwhile, others may rely on forwarding: then it stays on, and the table stays, to keep
// strangers apart. An absent entry is no error.
func (u *Uplink) Delete(link string) error {
	return u.locked(func(conn *ruleset.Conn) error {
		if err := u.remove(conn, link); err != nil {
			return err
		}
		return u.judge(conn, anyAddress)
	})
}

// locked calls f, one call at a time, with a connection to the host's tables.
func (u *Uplink) locked(f func(*ruleset.Conn) error) error {
	return u.alone(func() error { return connected(f) })
}

// alone calls f, one call at a time.
func (u *Uplink) alone(f func() error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.refresh(); err != nil {
		return err
	}
	return f()
}

func connected(f func(*ruleset.Conn) error) error {
	conn, err := ruleset.Open(0)
	if err != nil {
		return err
	}
	defer conn.Close()
	return f(conn)
}

func (e Entry) validate() error {
	if len(e.Link) > 15 || !strings.HasPrefix(e.Link, netns.LinkPrefix) || len(e.Group) == 0 {
		return fmt.Errorf("uplink entry %q has no link name that begins with %q, one over 15 bytes, or no address", e.Link, netns.LinkPrefix)
	}
	for _, p := range e.Publish {
		if _, err := ruleset.Protocol(p.Protocol); err != nil {
			return fmt.Errorf("publish port %d: %w", p.Host, err)
		}
	}
	for _, a := range e.Allow {
		if _, err := a.Number(); err != nil {
			return fmt.Errorf("allow %s: %w", a.Prefix, err)
		}
	}
	return nil
}
