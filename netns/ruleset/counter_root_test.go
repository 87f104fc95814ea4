package ruleset_test

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// counting returns a table that records to which IPv4 addresses UDP was sent.
func counting(size uint32, timeout time.Duration, more ...ruleset.Rule) ruleset.Table {
	rules := []ruleset.Rule{ruleset.NewRule("", ruleset.Family(unix.NFPROTO_IPV4), ruleset.L4Proto(unix.IPPROTO_UDP), ruleset.Update("sent", ruleset.FieldL4Proto, ruleset.FieldDest4))}
	return ruleset.Table{
		Name: "t",
		Sets: []ruleset.Set{ruleset.NewDynamicSet("sent", size, timeout, nftables.TypeInetProto, nftables.TypeIPAddr)},
		Chains: []ruleset.Chain{{
			Name:  "c",
			Base:  &ruleset.Base{Type: nftables.ChainTypeFilter, Hook: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter, Policy: nftables.ChainPolicyAccept},
			Rules: append(rules, more...),
		}},
	}
}

func TestRootDynamicSet(t *testing.T) {
	netnstest.Root(t)
	ns := netnstest.NewNamespace(t)
	conn := open(t, ns)
	apply := func(table ruleset.Table) {
		t.Helper()
		if _, err := ruleset.Apply(conn, table); err != nil {
			t.Fatal(err)
		}
	}
	set := counting(3, time.Hour).Sets[0]
	counted := func(want map[string]uint64) {
		t.Helper()
		found, err := ruleset.CountedElements(conn, "t", set)
		got := map[string]uint64{}
		for _, x := range found {
			got[netip.AddrFrom4([4]byte(x.Key[4:])).String()] = x.Packets
			if x.Key[0] != unix.IPPROTO_UDP || x.Bytes != 29*x.Packets {
				t.Errorf("%d bytes in %d packets of protocol %d; want 29 in each, of UDP", x.Bytes, x.Packets, x.Key[0])
			}
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v; packets by destination (-want +got):\n%s", err, diff)
		}
	}
	if _, err := ruleset.CountedElements(conn, "t", set); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a table: %v, want os.ErrNotExist", err)
	}
	apply(counting(3, time.Hour))
	counted(map[string]uint64{})
	sock, err := netnstest.NewHelper(t, ns, "").UDP(netip.IPv4Unspecified())
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"127.0.0.1:9", "127.0.0.2:9", "127.0.0.1:9", "127.0.0.3:9", "127.0.0.4:9", "127.0.0.1:9"} {
		if err := sock.SendTo(netip.MustParseAddrPort(to), "x"); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
	want := map[string]uint64{"127.0.0.1": 3, "127.0.0.2": 1, "127.0.0.3": 1} // the fourth did not fit
	counted(want)

	// A change of rules keeps the elements of the set. A second Apply changes nothing.
	apply(counting(3, time.Hour, ruleset.NewRule("more", ruleset.Accept())))
	counted(want)
	if changed, err := ruleset.Apply(conn, counting(3, time.Hour, ruleset.NewRule("more", ruleset.Accept()))); changed || err != nil {
		t.Errorf("a second time: changed %v, %v", changed, err)
	}
}

// A set of another kind is not taken for the wanted one, whether it is remembered or read.
func TestRootDynamicSetsAreToldApart(t *testing.T) {
	netnstest.Root(t)
	plain := counting(0, 0)
	plain.Sets[0].Dynamic = false
	plain.Chains[0].Rules = nil
	empty := counting(8, time.Hour)
	empty.Chains[0].Rules = nil
	tables := map[string]ruleset.Table{
		"as wanted": empty, "another size": counting(9, time.Hour), "another timeout": counting(8, time.Minute),
		"no timeout": counting(8, 0), "no size": counting(0, time.Hour), "not dynamic": plain,
	}
	for name, table := range tables {
		t.Run(name, func(t *testing.T) {
			table.Chains[0].Rules = nil
			ns := netnstest.NewNamespace(t)
			conn := open(t, ns)
			if _, err := ruleset.Apply(conn, table); err != nil {
				t.Fatal(err)
			}
			for _, remembered := range []string{"remembered", "read"} {
				if ok, err := ruleset.Matches(conn, empty); err != nil || ok != (name == "as wanted") {
					t.Errorf("%s: matches: %v, %v", remembered, ok, err)
				}
				netnstest.NFT(t, ns, "", "add table inet other") // after another batch nothing is remembered
			}
		})
	}
}
