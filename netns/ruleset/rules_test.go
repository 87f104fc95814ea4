package ruleset

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ruleMessage returns the body of a message with a rule, as the kernel sends it.
func ruleMessage(t *testing.T, exprs ...[]byte) []byte {
	t.Helper()
	var list []netlink.Attribute
	for _, e := range exprs {
		list = append(list, netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: e})
	}
	body, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_RULE_TABLE, Data: []byte("t\x00")},
		{Type: unix.NFTA_RULE_CHAIN, Data: []byte("c\x00")},
		{Type: unix.NFTA_RULE_HANDLE, Data: binaryutil.BigEndian.PutUint64(7)},
		{Type: unix.NFTA_RULE_POSITION, Data: binaryutil.BigEndian.PutUint64(6)},
		{Type: unix.NLA_F_NESTED | unix.NFTA_RULE_EXPRESSIONS, Data: marshal(t, list)},
		{Type: unix.NFTA_RULE_USERDATA, Data: Rule{Comment: "why"}.userData()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{unix.NFPROTO_INET, 0, 0, 0}, body...)
}

func marshal(t *testing.T, list []netlink.Attribute) []byte {
	t.Helper()
	b, err := netlink.MarshalAttributes(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each kind of expression that this package writes is read.
func TestParseRule(t *testing.T) {
	for _, all := range []map[string][][]expr.Any{written, writtenNAT, writtenSourceNAT} {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			for _, part := range all[name] {
				var sent [][]byte
				for _, e := range part {
					b, err := expr.Marshal(unix.NFPROTO_INET, e)
					if err != nil {
						t.Fatal(name, err)
					}
					sent = append(sent, b)
				}
				got, err := parseRule(unix.NFPROTO_INET, ruleMessage(t, sent...))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if got.Table.Name != "t" || got.Chain.Name != "c" || got.Handle != 7 || got.Position != 6 {
					t.Errorf("%s: %+v, want rule 7 behind 6 of chain c in table t", name, got)
				}
				if !sameRule(got, Rule{Comment: "why", Exprs: part}) {
					t.Errorf("%s: %s is read as %s", name, text(part...), text(got.Exprs...))
				}
			}
		}
	}
}

// A rule with an expression of a kind that is not ours is like no other, and a broken message is
// an error.
func TestParseRuleOfOthers(t *testing.T) {
	alien := marshal(t, []netlink.Attribute{{Type: unix.NFTA_EXPR_NAME, Data: []byte("numgen\x00")}, {Type: unix.NLA_F_NESTED | unix.NFTA_EXPR_DATA}})
	got, err := parseRule(unix.NFPROTO_INET, ruleMessage(t, alien))
	if err != nil || len(got.Exprs) != 1 {
		t.Fatalf("%+v, %v; want one expression", got, err)
	}
	for _, want := range []Rule{{Comment: "why"}, {Comment: "why", Exprs: got.Exprs}} {
		if sameRule(got, want) {
			t.Errorf("a rule of another is taken for one with %s", text(want.Exprs...))
		}
	}
	for _, body := range [][]byte{ruleMessage(t, []byte{9}), ruleMessage(t)[:30]} {
		if got, err := parseRule(unix.NFPROTO_INET, body); err == nil {
			t.Errorf("% x is read as %+v, want an error", body, got)
		}
	}
	if _, err := parseRule(unix.NFPROTO_INET, nil); err != nil {
		t.Error(err) // the kernel sends none that is empty. It must not end the daemon.
	}
}
