package watch

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, align(len(b))-len(b))...)
}

func netlinkMessage(kind uint16, data ...[]byte) []byte {
	b := make([]byte, unix.SizeofNlMsghdr)
	for _, d := range data {
		b = append(b, d...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	return append(b, make([]byte, align(len(b))-len(b))...)
}

func int32Of(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

func TestLinkOfMessage(t *testing.T) {
	header := append(make([]byte, 4), append(int32Of(7), make([]byte, 8)...)...) // struct ifinfomsg
	named := netlinkMessage(unix.RTM_NEWLINK, header, attr(unix.IFLA_MTU, int32Of(1500)), attr(unix.IFLA_IFNAME, []byte("sp-a\x00")))
	address := netlinkMessage(unix.RTM_DELADDR, make([]byte, 4), int32Of(9))
	var got []Event
	for _, m := range split(append(named, address...)) {
		got = append(got, m.link())
	}
	want := []Event{{Kind: Links, Link: "sp-a", Index: 7}, {Kind: Links, Index: 9}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestForwardingOfMessage(t *testing.T) {
	for _, tt := range []struct {
		name  string
		attrs []byte
		want  bool
	}{
		{"of the host", append(attr(netconfIndex, int32Of(netconfAll)), attr(netconfForwarding, int32Of(1))...), true},
		{"of a link", append(attr(netconfIndex, int32Of(3)), attr(netconfForwarding, int32Of(1))...), false},
		{"something else", attr(netconfIndex, int32Of(netconfAll)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := split(netlinkMessage(unix.RTM_NEWNETCONF, []byte{unix.AF_INET, 0, 0, 0}, tt.attrs))
			if got := m[0].forwarding(); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// Reading any datagram ends.
func FuzzMessages(f *testing.F) {
	f.Add(netlinkMessage(unix.RTM_NEWLINK, make([]byte, 16), attr(unix.IFLA_IFNAME, []byte("lo\x00"))))
	f.Add([]byte{16, 0, 0, 0, 16, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, m := range split(b) {
			m.link()
			m.forwarding()
			m.attributes(sizeofNfgenmsg, func(uint16, []byte) {})
		}
	})
}
