package ruleset

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"pgregory.net/rapid"
)

func TestLastOf(t *testing.T) {
	for prefix, want := range map[string]string{
		"203.0.113.0/24":  "203.0.113.255",
		"203.0.113.7/32":  "203.0.113.7",
		"0.0.0.0/0":       "255.255.255.255",
		"10.0.0.4/30":     "10.0.0.7",
		"2001:db8::/33":   "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff",
		"2001:db8::1/128": "2001:db8::1",
	} {
		if got := LastOf(netip.MustParsePrefix(prefix)).String(); got != want {
			t.Errorf("last address of %s is %s, want %s", prefix, got, want)
		}
	}
}

func TestKeyPadsEachPart(t *testing.T) {
	got := Key([]byte{6}, Port(443), []byte{1, 2, 3, 4})
	want := []byte{6, 0, 0, 0, 0x01, 0xbb, 0, 0, 1, 2, 3, 4}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("key (-want +got):\n%s", diff)
	}
}

// Fields are side by side in registers, with the kernel's numbers.
func TestInPlacesFields(t *testing.T) {
	var got []uint32
	for _, e := range In("s", FieldIIFName, FieldDest4, FieldL4Proto, FieldDPort) {
		switch x := e.(type) {
		case *expr.Meta:
			got = append(got, x.Register)
		case *expr.Payload:
			got = append(got, x.DestRegister)
		}
	}
	// 16 bytes, then three times 4 bytes: the second 16-byte register, and its second and third
	// quarter.
	if diff := cmp.Diff([]uint32{1, 2, 13, 14}, got); diff != "" {
		t.Errorf("registers (-want +got):\n%s", diff)
	}
}

func TestDestInComparesWholeBytesOrMasks(t *testing.T) {
	for prefix, want := range map[string]struct {
		load   uint32
		masked bool
	}{
		"10.209.0.0/16": {2, false},
		"10.209.0.1/32": {4, false},
		"10.208.0.0/15": {4, true},
		"fe80::/10":     {16, true},
		"fd00::/64":     {8, false},
	} {
		var load uint32
		masked := false
		for _, e := range DestIn(netip.MustParsePrefix(prefix)) {
			switch x := e.(type) {
			case *expr.Payload:
				load = x.Len
			case *expr.Bitwise:
				masked = true
			}
		}
		if load != want.load || masked != want.masked {
			t.Errorf("%s loads %d bytes, masked %v; want %d, %v", prefix, load, masked, want.load, want.masked)
		}
	}
}

func endpoint(t *rapid.T) Endpoint {
	a := netip.AddrFrom4([4]byte{10, rapid.Byte().Draw(t, "b"), rapid.SampledFrom([]byte{0, 1}).Draw(t, "c"), 0})
	return Endpoint{
		Prefix:   netip.PrefixFrom(a, rapid.SampledFrom([]int{8, 16, 23, 24, 32}).Draw(t, "bits")).Masked(),
		Protocol: rapid.SampledFrom([]string{"tcp", "udp"}).Draw(t, "protocol"),
		Port:     rapid.SampledFrom([]uint16{0, 443, 53}).Draw(t, "port"),
	}
}

// Leaving out covered endpoints allows the same destinations. No two of the remaining ones overlap,
// which the kernel would refuse in one set.
func TestCompactAllowsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Custom(endpoint), 0, 12).Draw(t, "endpoints")
		out := compact(in)
		for _, e := range in {
			covered := false
			for _, o := range out {
				covered = covered || o.covers(e)
			}
			if !covered {
				t.Fatalf("%v is lost from %v", e, out)
			}
		}
		for i, a := range out {
			for j, b := range out {
				if i != j && a.covers(b) {
					t.Fatalf("%v covers %v", a, b)
				}
			}
		}
	})
}

func TestDiff(t *testing.T) {
	e := func(key, val byte) nftables.SetElement {
		return nftables.SetElement{Key: []byte{key}, Val: []byte{val}}
	}
	add, del := Diff([]nftables.SetElement{e(1, 1), e(2, 2), e(3, 3)}, []nftables.SetElement{e(2, 2), e(3, 4), e(5, 5)})
	if diff := cmp.Diff([]nftables.SetElement{e(3, 4), e(5, 5)}, add); diff != "" {
		t.Errorf("to add (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]nftables.SetElement{e(1, 1), e(3, 3)}, del); diff != "" {
		t.Errorf("to delete (-want +got):\n%s", diff)
	}
}
