package uplink

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// elements are elements of the table's sets, by the set's name.
type elements map[string][]nftables.SetElement

// entrySets returns the sets whose elements are entries.
func (u *Uplink) entrySets() []ruleset.Set {
	return slices.DeleteFunc(slices.Clone(u.table.Sets), func(s ruleset.Set) bool { return !s.Open || s.Dynamic })
}

// createElements returns an entry as elements of the sets.
func createElements(e Entry) elements {
	name := ruleset.InterfaceName(e.Link)
	out := elements(allowed.Elements(e.Allow, name))
	out.add(links, name, nil)
	if e.Allow != nil {
		out.add(restricted, name, nil)
	}
	for _, group := range e.Group {
		out.add(pick(group, source4, source6), ruleset.Key(name, group.AsSlice()), nil)
		for _, p := range e.Publish {
			proto, _ := ruleset.Protocol(p.Protocol) // checked by validate
			key := ruleset.Key([]byte{proto}, ruleset.Port(p.Host))
			to := ruleset.Key(group.AsSlice(), ruleset.Port(p.Port))
			switch {
			case !p.Address.IsValid():
				out.add(pick(group, publish4, publish6), key, to)
			case p.Address.Is4() == group.Is4():
				out.add(pick(group, publishAt4, publishAt6), append(p.Address.AsSlice(), key...), to)
			}
		}
	}
	return out
}

func (e elements) add(set string, key, val []byte) {
	e[set] = append(e[set], nftables.SetElement{Key: key, Val: val})
}

func pick(a netip.Addr, four, six string) string {
	if a.Is4() {
		return four
	}
	return six
}

func linkOf(key []byte) string {
	name, _, _ := bytes.Cut(key[:16], []byte{0})
	return string(name)
}

// read returns the elements of the table. There are none if there is no table. The result stays
// valid until any table of the host changes.
func (u *Uplink) read(conn *ruleset.Conn) (*index, error) {
	at, err := conn.Generation()
	if err != nil || at == u.knownAt {
		return &u.known, err
	}
	all, err := ruleset.Read(conn, func(now ruleset.Generation) (elements, error) {
		out := elements{}
		at = now
		if ok, err := ruleset.Exists(conn, u.config.Table); err != nil || !ok {
			return out, err
		}
		for _, s := range u.entrySets() {
			xs, err := conn.GetSetElements(s.Handle(u.config.Table))
			if err != nil {
				return nil, fmt.Errorf("read set %q of table %q: %w", s.Name, u.config.Table, err)
			}
			out[s.Name] = xs
		}
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	u.altered = u.altered || u.differs(all)
	u.known, u.knownAt = createIndex(all), at
	return &u.known, nil
}

// Sources returns the groups' addresses by link, as the table has them. Without a table there are
// none.
func (u *Uplink) Sources() (map[string][]netip.Addr, error) {
	found := map[string][]netip.Addr{}
	err := u.locked(func(conn *ruleset.Conn) error {
		all, err := u.read(conn)
		if err != nil {
			return err
		}
		for link, e := range all.byLink {
			if own := sources(e); len(own) > 0 {
				found[link] = own
			}
		}
		return nil
	})
	return found, err
}

// diff returns the elements to add and to delete so that the table holds exactly the entry for its
// link. Published ports that lead to one of the link's addresses belong to the link.
func (u *Uplink) diff(conn *ruleset.Conn, e Entry) (add, del elements, err error) {
	all, err := u.read(conn)
	if err != nil {
		return nil, nil, err
	}
	add, del = u.differ(all, e)
	return add, del, nil
}

// differ is [Uplink.diff] for what the table holds.
func (u *Uplink) differ(all *index, e Entry) (add, del elements) {
	have, want := all.byLink[e.Link], createElements(e)
	add, del = elements{}, elements{}
	for _, s := range u.entrySets() {
		a, d := ruleset.Diff(have[s.Name], want[s.Name])
		if len(a) > 0 {
			add[s.Name] = a
		}
		if len(d) > 0 {
			del[s.Name] = d
		}
	}
	return add, del
}

// change sends one batch. Deletions come first, so that the data of an element can change.
func (u *Uplink) change(conn *ruleset.Conn, add, del elements) error {
	for _, s := range u.entrySets() {
		h := s.Handle(u.config.Table)
		if err := ruleset.DeleteElements(conn, h, del[s.Name]); err != nil {
			return err
		}
		if err := ruleset.AddElements(conn, h, add[s.Name]); err != nil {
			return err
		}
	}
	if err := conn.Commit(); err != nil {
		return err
	}
	after, err := conn.Generation()
	follows := err == nil && after.Follows(u.knownAt) && !u.known.shared
	u.known.change(add, del)
	if u.knownAt = after; !follows {
		u.knownAt = ruleset.Generation{} // the table has to be read again, that is all
	}
	return nil
}

// remove deletes what belongs to a link. Where no other link is left, it turns off forwarding and
// deletes the table; see [Uplink.stopForwarding]. Published ports that lead to no group's address
// go as well: they belong to the link "".
func (u *Uplink) remove(conn *ruleset.Conn, link string) error {
	all, err := u.read(conn)
	if err != nil {
		return err
	}
	gone := elements{}
	for _, l := range []string{"", link} {
		for set, xs := range all.byLink[l] {
			gone[set] = append(gone[set], xs...)
		}
	}
	if err := u.expect(conn, sources(gone)...); err != nil {
		return err
	}
	if !all.hasOther(link) {
		if left, err := u.stopForwarding(); err != nil || !left {
			if err := errors.Join(err, ruleset.Delete(conn, u.config.Table)); err != nil {
				return err
			}
			u.known, u.knownAt = createIndex(nil), ruleset.Generation{}
			return nil
		}
	}
	if len(gone) > 0 {
		if err := u.change(conn, nil, gone); err != nil {
			return err
		}
	}
	return u.forget(conn, link)
}
