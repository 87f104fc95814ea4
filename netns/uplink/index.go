package uplink

import (
	"net/netip"

	"github.com/google/nftables"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// An index has the elements of the table by link. So a change of one entry costs what that entry
// has, and not what all of them have. An element's link is the name in front of its key or, in the
// maps of published ports, the owner of the address in its data. The elements that lead to an
// address without an owner belong to the link "".
type index struct {
	byLink map[string]elements
	owner  map[netip.Addr]string // the link of a group's address
	// shared means that an address has several owners, which no entry of ours causes. Such an index
	// is right until it changes.
	shared bool
}

func createIndex(all elements) index {
	x := index{byLink: map[string]elements{}, owner: map[netip.Addr]string{}}
	x.add(all)
	return x
}

func (x *index) add(e elements) {
	for _, set := range []string{source4, source6} {
		for _, s := range e[set] {
			a, link := sourceOf(s), linkOf(s.Key)
			if other, owned := x.owner[a]; owned && other != link {
				x.shared = true
			}
			x.owner[a] = link
		}
	}
	for set, xs := range e {
		for _, s := range xs {
			link := x.link(set, s)
			if x.byLink[link] == nil {
				x.byLink[link] = elements{}
			}
			x.byLink[link][set] = append(x.byLink[link][set], s)
		}
	}
}

// link returns the link of an element of a set.
func (x *index) link(set string, s nftables.SetElement) string {
	switch set {
	case publish4, publishAt4:
		return x.owner[netip.AddrFrom4([4]byte(s.Val[:4]))]
	case publish6, publishAt6:
		return x.owner[netip.AddrFrom16([16]byte(s.Val[:16]))]
	default:
		return linkOf(s.Key)
	}
}

// change deletes elements and then adds others. It takes the elements of the links that these
// belong to out of the index and puts them in again, since their addresses may have another owner.
func (x *index) change(add, del elements) {
	moved := elements{}
	take := func(link string) {
		for set, xs := range x.byLink[link] {
			moved[set] = append(moved[set], xs...)
		}
		delete(x.byLink, link)
	}
	take("")
	for _, e := range []elements{add, del} {
		for set, xs := range e {
			for _, s := range xs {
				take(x.link(set, s))
				if set == source4 || set == source6 {
					take(x.owner[sourceOf(s)])
				}
			}
		}
	}
	for _, a := range sources(moved) {
		delete(x.owner, a)
	}
	for set, xs := range del {
		moved[set] = ruleset.Without(moved[set], xs)
	}
	for set, xs := range add {
		moved[set] = append(moved[set], xs...)
	}
	x.add(moved)
}

// all returns every element.
func (x *index) all() elements {
	out := elements{}
	for _, e := range x.byLink {
		for set, xs := range e {
			out[set] = append(out[set], xs...)
		}
	}
	return out
}

// sources returns the addresses of all groups.
func (x *index) sources() []netip.Addr {
	var out []netip.Addr
	for _, e := range x.byLink {
		out = append(out, sources(e)...)
	}
	return out
}

// hasOther reports whether there is an entry of a link other than this one.
func (x *index) hasOther(link string) bool {
	for l, e := range x.byLink {
		if l != link && len(e[links]) > 0 {
			return true
		}
	}
	return false
}
