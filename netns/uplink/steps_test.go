package uplink

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// A walk takes one established IPv4 packet through chains of the table and counts what the kernel
// does for it.
type walk struct {
	chains   map[string][]ruleset.Rule
	iif      string
	listed   map[string]bool // sets that have the packet's key
	steps    int
	lookups  int
	register []byte
}

// Most packets of a host belong to flows that are established. What each of them costs is bounded:
// one from a group is looked up once, and no other is looked up at all.
func TestStepsOfAPacket(t *testing.T) {
	table := createTable(config("x"), nil)
	chains := map[string][]ruleset.Rule{}
	for _, c := range table.Chains {
		chains[c.Name] = c.Rules
	}
	for _, tt := range []struct {
		name           string
		iif            string
		listed         map[string]bool
		steps, lookups int
	}{
		{"from outside", "eth0", nil, 14, 0},
		{"from a group", "sp-one", map[string]bool{source4: true, links: true}, 23, 1},
	} {
		w := walk{chains: chains, iif: tt.iif, listed: tt.listed}
		for _, hook := range []string{"loopback", "from_groups", "to_groups"} {
			if verdict := w.run(t, hook); verdict != expr.VerdictAccept {
				t.Errorf("%s: the verdict of %s is %v", tt.name, hook, verdict)
			}
		}
		if w.steps > tt.steps || w.lookups != tt.lookups {
			t.Errorf("%s: %d expressions and %d lookups, want at most %d and %d", tt.name, w.steps, w.lookups, tt.steps, tt.lookups)
		}
	}
}

// run returns the verdict of a chain.
func (w *walk) run(t *testing.T, chain string) expr.VerdictKind {
	t.Helper()
	for _, r := range w.chains[chain] {
		matches := true
		for _, e := range r.Exprs {
			w.steps++
			if v, ok := e.(*expr.Verdict); ok && v.Kind == expr.VerdictGoto {
				return w.run(t, v.Chain)
			} else if ok {
				return v.Kind
			}
			if matches = w.step(t, e); !matches {
				break
			}
		}
	}
	return expr.VerdictAccept // the policy
}

// step reports whether the rule goes on behind an expression. The packet is from 192.0.2.1 to
// 198.51.100.1.
func (w *walk) step(t *testing.T, e ruleset.Expr) bool {
	t.Helper()
	switch e := e.(type) {
	case *expr.Meta:
		switch e.Key {
		case expr.MetaKeyNFPROTO:
			w.register = []byte{unix.NFPROTO_IPV4}
		case expr.MetaKeyIIFNAME:
			w.register = ruleset.InterfaceName(w.iif)
		default:
			t.Fatalf("meta key %v is asked of an established packet", e.Key)
		}
	case *expr.Payload:
		w.register = map[uint32][]byte{12: {192, 0, 2, 1}, 16: {198, 51, 100, 1}}[e.Offset][:e.Len]
	case *expr.Ct:
		w.register = binaryutil.NativeEndian.PutUint32(ruleset.Established)
	case *expr.Bitwise:
		w.register = slices.Clone(w.register)
		for i := range w.register {
			w.register[i] &= e.Mask[i]
		}
	case *expr.Cmp:
		return bytes.Equal(w.register[:len(e.Data)], e.Data) == (e.Op == expr.CmpOpEq)
	case *expr.Lookup:
		w.lookups++
		return w.listed[e.SetName] != e.Invert
	default:
		t.Fatalf("%T is asked of an established packet", e)
	}
	return true
}
