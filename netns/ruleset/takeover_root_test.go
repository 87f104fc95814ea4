package ruleset_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// A table keeps its counts and the elements of its open sets when counters and sets come and go
// beside them, and also when it has to be made anew, whether or not this process remembers it.
func TestRootContentsOutliveTheShape(t *testing.T) {
	hooked := func(hook *nftables.ChainHook) ruleset.Chain {
		return ruleset.Chain{Name: "c", Base: &ruleset.Base{Type: nftables.ChainTypeFilter, Hook: hook, Priority: nftables.ChainPriorityFilter}}
	}
	open4 := ruleset.NewSet("ours", nftables.TypeIPAddr)
	open4.Open = true
	flows := ruleset.NewDynamicSet("flows", 0, time.Hour, nftables.TypeIPAddr, nftables.TypeInetService)
	fixed := ruleset.NewSet("fixed", nftables.TypeInetProto)
	fixed.Elements = []nftables.SetElement{{Key: []byte{6}}}
	pairs := ruleset.NewMap("pairs", []nftables.SetDatatype{nftables.TypeInetProto, nftables.TypeInetService}, []nftables.SetDatatype{nftables.TypeIPAddr, nftables.TypeInetService})
	pairs.Open = true
	ranges := ruleset.NewSet("ranges", nftables.TypeIPAddr, nftables.TypeInetProto)
	ranges.Open, ranges.Interval = true, true
	other := ruleset.NewSet("fixed", nftables.TypeIPAddr) // of another kind

	first := ruleset.Table{Name: "t", Counters: []string{"n"}, Sets: []ruleset.Set{open4, flows, pairs, ranges, fixed}, Chains: []ruleset.Chain{hooked(nftables.ChainHookOutput)}}
	more := first
	more.Counters, more.Sets = []string{"m", "n"}, append([]ruleset.Set{ruleset.NewSet("more", nftables.TypeIPAddr)}, first.Sets...)
	less := first
	less.Sets = []ruleset.Set{ranges, pairs, flows, open4}
	moved, changed := first, first
	moved.Chains = []ruleset.Chain{hooked(nftables.ChainHookInput)}
	changed.Sets = []ruleset.Set{open4, flows, pairs, ranges, other}

	for _, remembers := range []bool{true, false} {
		netnstest.Root(t)
		ns := netnstest.NewNamespace(t)
		conn := open(t, ns)
		netnstest.NFT(t, ns, `table inet t {
			counter n { packets 7 bytes 700 }
			set ours { type ipv4_addr; elements = { 192.0.2.1 }; }
			set flows { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 1h; elements = { 192.0.2.1 . 53 }; }
			map pairs { type inet_proto . inet_service : ipv4_addr . inet_service; elements = { tcp . 443 : 192.0.2.1 . 8443 }; }
			set ranges { type ipv4_addr . inet_proto; flags interval; elements = { 192.0.2.0/24 . tcp }; }
		}`, "-f", "-")
		for _, step := range []struct {
			name  string
			table ruleset.Table
		}{{"taken over", first}, {"more", more}, {"less", less}, {"a chain moved", moved}, {"a set of another kind", changed}, {"back", first}} {
			if !remembers {
				netnstest.NFT(t, ns, "", "add table inet stranger"+strings.ReplaceAll(step.name, " ", ""))
			}
			if did, err := ruleset.Apply(conn, step.table); err != nil || !did {
				t.Fatalf("%s: changed %v, %v", step.name, did, err)
			}
			if ok, err := ruleset.Matches(conn, step.table); err != nil || !ok {
				t.Errorf("%s: not as wanted: %v", step.name, err)
			}
			counts, err := ruleset.Counts(conn, "t")
			if err != nil || counts["n"] != (ruleset.Counter{Packets: 7, Bytes: 700}) || len(counts) != len(step.table.Counters) {
				t.Errorf("%s: counts %v, %v", step.name, counts, err)
			}
			listing := netnstest.NFT(t, ns, "", "list", "table", "inet", "t")
			for _, element := range []string{"elements = { 192.0.2.1 }", "192.0.2.1 . 53", "tcp . 443 : 192.0.2.1 . 8443", "192.0.2.0/24 . tcp"} {
				if !strings.Contains(listing, element) {
					t.Errorf("%s: %q is gone:\n%s", step.name, element, listing)
				}
			}
			hasFixed := slices.ContainsFunc(step.table.Sets, func(s ruleset.Set) bool { return s.Name == "fixed" && len(s.Elements) > 0 })
			if hasFixed != strings.Contains(listing, "elements = { tcp }") || (step.name == "more") != strings.Contains(listing, "set more") {
				t.Errorf("%s: the sets beside are not as wanted:\n%s", step.name, listing)
			}
		}
	}
}
