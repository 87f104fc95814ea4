package uplink

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// An index that has changed is the one that is made of what the table has then. That holds also
// where others have put elements into it.
func TestIndexChange(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		table := map[string]placed{} // by set and key
		x := createIndex(nil)
		for step := range 30 {
			add, del := elements{}, elements{}
			for range 1 + r.IntN(4) {
				set, s := randomElement(r)
				if slices.ContainsFunc(append(add[set], del[set]...), func(e nftables.SetElement) bool { return string(e.Key) == string(s.Key) }) {
					continue // it changes in this step already
				}
				was, there := table[set+string(s.Key)]
				if there {
					del[set] = append(del[set], was.SetElement)
					delete(table, set+string(s.Key))
				}
				if !there || r.IntN(2) == 0 {
					add[set] = append(add[set], s)
					table[set+string(s.Key)] = placed{set, s}
				}
			}
			shared := x.shared
			if x.change(add, del); shared { // it has to be read again
				x = createIndex(tableElements(table))
			}
			want := createIndex(tableElements(table))
			if want.shared {
				continue // which owner counts is open
			}
			if x.shared {
				t.Fatalf("seed %d, step %d: it counts as shared, and is not", seed, step)
			}
			if diff := cmp.Diff(printed(want), printed(x)); diff != "" {
				t.Fatalf("seed %d, step %d (-want +got):\n%s", seed, step, diff)
			}
		}
	}
}

// randomElement is one of a few links, addresses and ports.
func randomElement(r *rand.Rand) (set string, s nftables.SetElement) {
	link := ruleset.InterfaceName(fmt.Sprint("sp-", r.IntN(4)))
	addr := netip.AddrFrom4([4]byte{10, 209, 0, byte(r.IntN(6))}).AsSlice()
	key := ruleset.Key([]byte{6}, ruleset.Port(uint16(r.IntN(6))))
	switch r.IntN(4) {
	case 0:
		return links, nftables.SetElement{Key: link}
	case 1:
		return source4, nftables.SetElement{Key: ruleset.Key(link, addr)}
	case 2:
		return publishAt4, nftables.SetElement{Key: append([]byte{192, 0, 2, 1}, key...), Val: ruleset.Key(addr, ruleset.Port(80))}
	default:
		return publish4, nftables.SetElement{Key: key, Val: ruleset.Key(addr, ruleset.Port(80))}
	}
}

type placed struct {
	set string
	nftables.SetElement
}

func tableElements(table map[string]placed) elements {
	out := elements{}
	for _, p := range table {
		out[p.set] = append(out[p.set], p.SetElement)
	}
	return out
}

// printed has a line for each element and each owner.
func printed(x index) (lines []string) {
	for link, e := range x.byLink {
		for set, xs := range e {
			for _, s := range xs {
				lines = append(lines, fmt.Sprintf("%q %s %x: %x", link, set, s.Key, s.Val))
			}
		}
	}
	for a, link := range x.owner {
		lines = append(lines, fmt.Sprintf("%s belongs to %q", a, link))
	}
	slices.Sort(lines)
	return lines
}

// An entry costs the same beside few entries and beside many.
func TestRootPutBesideMany(t *testing.T) {
	netnstest.Root(t)
	u := newUplink(t, "sallyport")
	next := 0
	putNext := func() {
		next++
		put(t, u, another(next, 3))
	}
	for range 10 {
		putNext()
	}
	few := testing.AllocsPerRun(5, putNext)
	for range 300 {
		putNext()
	}
	many := testing.AllocsPerRun(5, putNext)
	t.Logf("%.0f allocations beside %d entries, %.0f beside 10", many, next, few)
	if many > 1.2*few {
		t.Errorf("%.0f allocations beside %d entries, want those beside 10, %.0f", many, next, few)
	}
	for n := range next {
		if err := u.Delete(another(n+1, 3).Link); err != nil {
			t.Fatal(err)
		}
	}
	drop(t, u)
}
