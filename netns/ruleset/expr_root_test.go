package ruleset

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// written are the parts of rules that this package makes, by the function that makes them.
var written = map[string][][]expr.Any{
	"Accept":             {Accept()},
	"AnySocket":          {AnySocket()},
	"CTDestinationNAT":   {CTDestinationNAT()},
	"CTState":            {CTState(Established | Related), CTState(Invalid | Untracked)},
	"CarriesPayload":     {TCPFlags(SYN, 0), CarriesPayload()},
	"Cgroup":             {Cgroup(1, 1)},
	"Count":              {Count("n")},
	"DestIn":             {DestIn(netip.MustParsePrefix("192.0.2.0/25")), DestIn(netip.MustParsePrefix("fe80::/10")), DestIn(netip.MustParsePrefix("2001:db8::1/128"))},
	"DestPort":           {DestPort(443)},
	"Drop":               {Drop()},
	"Family":             {Family(unix.NFPROTO_IPV4), Family(unix.NFPROTO_IPV6)},
	"FromElsewhere":      {FromElsewhere()},
	"FromLocal":          {FromLocal()},
	"FromLoopback":       {FromLoopback()},
	"FullSocket":         {FullSocket()},
	"Goto":               {Goto("other")},
	"HopLimit":           {HopLimit(255)},
	"ICMPType":           {ICMPType(3, 3), ICMPType(11, 12)},
	"ICMPv6Type":         {ICMPv6Type(1, 4)},
	"IIFKind":            {IIFKind("vrf")},
	"IIFName":            {IIFName("eth0")},
	"In":                 {In("plain", FieldDest4, FieldL4Proto, FieldDPort), In("names", FieldIIFName), In("cgroups", FieldCgroup(1))},
	"Jump":               {Jump("other")},
	"L4Proto":            {L4Proto(unix.IPPROTO_UDP)},
	"Limit":              {Limit(100)},
	"Mark":               {Mark(7)},
	"NeighbourDiscovery": {NeighbourDiscovery()},
	"NeitherIn":          {NeitherIn(netip.MustParsePrefix("127.0.0.0/8")), NeitherIn(netip.MustParsePrefix("::1/128")), NeitherIn(netip.MustParsePrefix("192.0.2.0/25"))},
	"NotIIFPrefix":       {NotIIFPrefix("sp-"), NotIIFPrefix("other-")},
	"NotIn":              {NotIn("plain6", FieldSource6, FieldL4Proto, FieldSPort), NotIn("names", FieldOIFName), NotIn("addresses", FieldSource4), NotIn("addresses6", FieldDest6)},
	"NotOIFName":         {NotOIFName("lo")},
	"NotToLocal":         {NotToLocal()},
	"OIFName":            {OIFName("eth0")},
	"OpensNoTCP":         {OpensNoTCP()},
	"Over":               {Over("q")},
	"Signal":             {Signal("q")},
	"Reject":             {Reject()},
	"RejectTCP":          {L4Proto(unix.IPPROTO_TCP), RejectTCP()},
	"Remember":           {Remember("remembered", 0, FieldDest4, FieldDPort, FieldSPort), Remember("remembered", time.Second, FieldDest4, FieldDPort, FieldSPort)},
	"Return":             {Return()},
	"SetMark":            {SetMark(7)},
	"SourceIn":           {SourceIn(netip.MustParsePrefix("127.0.0.0/8")), SourceIn(netip.MustParsePrefix("::1/128"))},
	"SourcePort":         {SourcePort(443)},
	"TCPFlags":           {TCPFlags(SYN|ACK, SYN)},
	"ToAnycast":          {ToAnycast()},
	"ToBroadcast":        {ToBroadcast()},
	"ToLocal":            {ToLocal()},
	"ToLoopback":         {ToLoopback()},
	"ToMulticast":        {ToMulticast()},
	"ToUnicast":          {ToUnicast()},
	"UDPTo":              {UDPTo(53)},
	"Untrack":            {Untrack()},
	"Update":             {Update("dynamic", FieldIIFName, FieldL4Proto, FieldDest4, FieldDPort), Update("dynamic", FieldIIFName, FieldL4Proto, FieldDest4, FieldNoPort)},
}

// writtenNAT are those that only a chain of type nat takes.
var (
	writtenNAT = map[string][][]expr.Any{
		"DestinationNAT": {
			slices.Concat(Family(unix.NFPROTO_IPV4), DestinationNAT(unix.NFPROTO_IPV4, "ports4", FieldL4Proto, FieldDPort)),
			slices.Concat(Family(unix.NFPROTO_IPV6), DestinationNAT(unix.NFPROTO_IPV6, "ports6", FieldL4Proto, FieldDPort)),
		},
		"Redirect": {slices.Concat(L4Proto(unix.IPPROTO_TCP), Redirect(15001))},
	}
	writtenSourceNAT = map[string][][]expr.Any{"Masquerade": {Masquerade()}}
)

// everything is a table with every part in a rule of its own.
func everything() Table {
	proto, port, addr4, addr6 := nftables.TypeInetProto, nftables.TypeInetService, nftables.TypeIPAddr, nftables.TypeIP6Addr
	type fields = []nftables.SetDatatype
	rules := func(parts map[string][][]expr.Any) (out []Rule) {
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			for _, p := range parts[name] {
				out = append(out, NewRule(name, p))
			}
		}
		return out
	}
	chain := func(name string, typ nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority, parts map[string][][]expr.Any) Chain {
		return Chain{Name: name, Base: &Base{Type: typ, Hook: hook, Priority: prio, Policy: nftables.ChainPolicyAccept}, Rules: rules(parts)}
	}
	return Table{
		Name:     "t",
		Counters: []string{"n"},
		Quotas:   []Quota{{Name: "q", Bytes: 1 << 40}},
		Sets: []Set{
			NewSet("plain", addr4, proto, port), NewSet("plain6", addr6, proto, port), NewSet("names", nftables.TypeIFName),
			NewSet("addresses", addr4), NewSet("addresses6", addr6), NewSet("cgroups", nftables.TypeCGroupV2),
			NewDynamicSet("dynamic", 8, time.Hour, nftables.TypeIFName, proto, addr4, port), NewDynamicSet("remembered", 0, time.Hour, addr4, port, port),
			NewMap("ports4", fields{proto, port}, fields{addr4, port}), NewMap("ports6", fields{proto, port}, fields{addr6, port}),
		},
		Chains: []Chain{
			chain("filter", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter, written),
			chain("nat", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, writtenNAT),
			chain("source_nat", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, writtenSourceNAT),
			{Name: "other"},
		},
	}
}

// The library reads back every expression that this package writes, except socket expressions.
func TestRootExpressionsReadBack(t *testing.T) {
	netnstest.Root(t)
	ns := netnstest.NewNamespace(t)
	conn, err := Open(int(ns.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	table := everything()
	if _, err := Apply(conn, table); err != nil {
		t.Fatal(err)
	}
	all, err := readRules(conn, table.handle())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range table.Chains {
		rules := all[c.Name]
		library, err := conn.GetRules(table.handle(), &nftables.Chain{Name: c.Name})
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(library, rules); diff != "" {
			t.Errorf("chain %q, as the library reads it and as readRules does (-want +got):\n%s", c.Name, diff)
		}
		if len(rules) != len(c.Rules) {
			t.Fatalf("chain %q reads back with %d rules, want %d", c.Name, len(rules), len(c.Rules))
		}
		for i, want := range c.Rules {
			if !bytes.Equal(rules[i].UserData, want.userData()) {
				t.Errorf("the comment of %s reads back as %q", want.Comment, rules[i].UserData)
			}
			compareExprs(t, want.Comment, rules[i].Exprs, want.Exprs)
		}
	}
	// After another batch the table is read and not remembered.
	netnstest.NFT(t, ns, "", "add table inet other")
	if ok, err := Matches(conn, table); err != nil || !ok {
		t.Errorf("the table read back matches: %v, %v", ok, err)
	}
	// A rule with a part of a kind that is not ours is another rule.
	netnstest.NFT(t, ns, "", "add rule inet t other numgen inc mod 2 0 accept")
	if all, err = readRules(conn, table.handle()); err != nil || len(all["other"]) != 1 {
		t.Fatalf("the chain with a rule of another has %d rules: %v", len(all["other"]), err)
	}
	alien := all["other"][0]
	if want := (Rule{Exprs: alien.Exprs}); sameRule(alien, want) {
		t.Errorf("a rule of another, %s, is taken for one of ours", text(alien.Exprs...))
	}
}

func compareExprs(t *testing.T, name string, got, want []expr.Any) {
	t.Helper()
	want = slices.DeleteFunc(slices.Clone(want), func(e expr.Any) bool { _, ok := e.(*expr.Socket); return ok })
	if len(got) != len(want) {
		t.Errorf("%s reads back as %s; want %s", name, text(got...), text(want...))
		return
	}
	for i := range want {
		g, err1 := canonical(got[i])
		w, err2 := canonical(want[i])
		if err1 != nil || err2 != nil || !bytes.Equal(g, w) {
			t.Errorf("%s: expression %d reads back as %s; want %s (%v, %v)", name, i, text(got[i]), text(want[i]), err1, err2)
		}
	}
}

func text(exprs ...expr.Any) string {
	var out []string
	for _, e := range exprs {
		out = append(out, fmt.Sprintf("%T%+v", e, e))
	}
	return strings.Join(out, " ")
}

// Every function that makes a part of a rule is in one of the lists above, and so is every kind of
// expression.
func TestEveryExpressionIsReadBack(t *testing.T) {
	listed := map[string]bool{}
	kinds := map[string]bool{"Counter": true, "Quota": true} // of elements and of named objects
	for _, parts := range []map[string][][]expr.Any{written, writtenNAT, writtenSourceNAT} {
		for name, list := range parts {
			listed[name] = true
			for _, e := range slices.Concat(list...) {
				kinds[strings.TrimPrefix(fmt.Sprintf("%T", e), "*expr.")] = true
			}
		}
	}
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("this package's files: %v, %v", names, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.IsExported() && makesPart(n) && !listed[n.Name.Name] {
					t.Errorf("no rule with %s is read back: add it to written", n.Name.Name)
				}
			case *ast.CompositeLit:
				if kind, ok := n.Type.(*ast.SelectorExpr); ok && fmt.Sprint(kind.X) == "expr" && !kinds[kind.Sel.Name] {
					t.Errorf("no rule with expr.%s is read back: add it to written", kind.Sel.Name)
				}
			}
			return true
		})
	}
}

// makesPart reports whether a function returns []expr.Any.
func makesPart(f *ast.FuncDecl) bool {
	if f.Type.Results == nil || len(f.Type.Results.List) != 1 {
		return false
	}
	list, ok := f.Type.Results.List[0].Type.(*ast.ArrayType)
	if !ok {
		return false
	}
	elem, ok := list.Elt.(*ast.SelectorExpr)
	return ok && fmt.Sprint(elem.X) == "expr" && elem.Sel.Name == "Any"
}
