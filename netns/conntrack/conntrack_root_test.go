package conntrack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// A table makes entries in the connection tracking of the test's namespace.
type table struct {
	t      testing.TB
	shared map[int]*nl.SocketHandle
}

func newTable(t testing.TB) *table {
	t.Helper()
	netnstest.Root(t)
	s, err := nl.Subscribe(unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	x := &table{t, map[int]*nl.SocketHandle{unix.NETLINK_NETFILTER: {Socket: s}}}
	t.Cleanup(x.flush)
	x.flush()
	return x
}

func (x *table) flush() {
	req := request(nl.IPCTNL_MSG_CT_DELETE, unix.NLM_F_ACK, unix.AF_UNSPEC)
	if _, err := req.Execute(unix.NETLINK_NETFILTER, 0); err != nil {
		x.t.Error(err)
	}
}

func (x *table) add(f Flow) {
	x.t.Helper()
	req := request(nl.IPCTNL_MSG_CT_NEW, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL, family(f.From.Addr()))
	req.Sockets = x.shared
	req.AddData(tuple(nl.CTA_TUPLE_ORIG, f.Protocol, f.From, f.To))
	req.AddData(tuple(nl.CTA_TUPLE_REPLY, f.Protocol, f.Answers, f.From))
	req.AddData(nl.NewRtAttr(nl.CTA_TIMEOUT, binary.BigEndian.AppendUint32(nil, 600)))
	if _, err := req.Execute(unix.NETLINK_NETFILTER, 0); err != nil {
		x.t.Fatalf("add %v: %v", f, err)
	}
}

func tuple(attr int, protocol byte, from, to netip.AddrPort) *nl.RtAttr {
	a := nl.NewRtAttr(nested(attr), nil)
	source, dest := nl.CTA_IP_V4_SRC, nl.CTA_IP_V4_DST
	if from.Addr().Is6() {
		source, dest = nl.CTA_IP_V6_SRC, nl.CTA_IP_V6_DST
	}
	ip := a.AddRtAttr(nested(nl.CTA_TUPLE_IP), nil)
	ip.AddRtAttr(source, from.Addr().AsSlice())
	ip.AddRtAttr(dest, to.Addr().AsSlice())
	proto := a.AddRtAttr(nested(nl.CTA_TUPLE_PROTO), nil)
	proto.AddRtAttr(nl.CTA_PROTO_NUM, []byte{protocol})
	proto.AddRtAttr(nl.CTA_PROTO_SRC_PORT, binary.BigEndian.AppendUint16(nil, from.Port()))
	proto.AddRtAttr(nl.CTA_PROTO_DST_PORT, binary.BigEndian.AppendUint16(nil, to.Port()))
	return a
}

func flow(protocol byte, from, to, answers string) Flow {
	return Flow{Protocol: protocol, From: netip.MustParseAddrPort(from), To: netip.MustParseAddrPort(to), Answers: netip.MustParseAddrPort(answers)}
}

// ends prints flows without what names them to the kernel, sorted.
func ends(flows []Flow) []string {
	out := []string{}
	for _, f := range flows {
		out = append(out, fmt.Sprint(f.Protocol, " ", f.From, " ", f.To, " ", f.Answers))
	}
	slices.Sort(out)
	return out
}

func all(t *testing.T) []Flow {
	t.Helper()
	flows, err := list(unix.AF_UNSPEC, func(Flow) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	return flows
}

func TestRootFlows(t *testing.T) {
	x := newTable(t)
	opened4 := flow(unix.IPPROTO_UDP, "10.209.0.1:5000", "192.0.2.1:53", "192.0.2.1:53")
	opened6 := flow(unix.IPPROTO_UDP, "[fd5a::1]:5000", "[2001:db8::1]:53", "[2001:db8::1]:53")
	answered4 := flow(unix.IPPROTO_UDP, "192.0.2.1:6000", "198.51.100.1:8053", "10.209.0.1:53")
	answered6 := flow(unix.IPPROTO_UDP, "[2001:db8::1]:6000", "[2001:db8::2]:8053", "[fd5a::1]:53")
	other := flow(unix.IPPROTO_UDP, "10.209.0.3:5000", "10.209.0.1:53", "192.0.2.1:53")
	every := []Flow{opened4, opened6, answered4, answered6, other}
	for _, f := range every {
		x.add(f)
	}
	if diff := cmp.Diff(ends(every), ends(all(t))); diff != "" {
		t.Fatalf("all flows (-want +got):\n%s", diff)
	}
	for name, tt := range map[string]struct {
		addrs []string
		want  []Flow
	}{
		"IPv4":        {[]string{"10.209.0.1"}, []Flow{opened4, answered4}},
		"IPv6":        {[]string{"fd5a::1"}, []Flow{opened6, answered6}},
		"both":        {[]string{"10.209.0.1", "fd5a::1"}, []Flow{opened4, answered4, opened6, answered6}},
		"two of IPv4": {[]string{"10.209.0.1", "10.209.0.3"}, []Flow{opened4, answered4, other}},
		"mapped":      {[]string{"::ffff:10.209.0.1"}, []Flow{opened4, answered4}},
		"another's":   {[]string{"198.51.100.1"}, []Flow{}},
		"of itself":   {[]string{"192.0.2.1"}, []Flow{opened4, answered4, other}},
		"none":        {nil, []Flow{}},
	} {
		addrs, match := []netip.Addr{}, map[netip.Addr]bool{}
		for _, a := range tt.addrs {
			addrs = append(addrs, netip.MustParseAddr(a))
			match[netip.MustParseAddr(a).Unmap()] = true
		}
		got, err := With(addrs...)
		if diff := cmp.Diff(ends(tt.want), ends(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		// The same when the kernel selects them, as on a host with many flows.
		v4 := []netip.Addr{}
		for a := range match {
			if a.Is4() {
				v4 = append(v4, a)
			}
		}
		got, err = selected(v4, len(match) > len(v4), func(f Flow) bool { return match[f.From.Addr()] || match[f.Answers.Addr()] })
		if diff := cmp.Diff(ends(tt.want), ends(got)); err != nil || diff != "" {
			t.Errorf("%s, selected: %v (-want +got):\n%s", name, err, diff)
		}
	}
	listed := all(t)
	i := slices.IndexFunc(listed, func(f Flow) bool { return f.From == answered6.From })
	for range 2 {
		if err := Delete(listed[i]); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ends([]Flow{opened4, opened6, answered4, other}), ends(all(t))); diff != "" {
			t.Fatalf("after a flow was deleted (-want +got):\n%s", diff)
		}
	}
}

// BenchmarkRootFlows finds and deletes a hundred flows of one group, on a host that tracks few
// others, and on one that tracks 200,000.
func BenchmarkRootFlows(b *testing.B) {
	x := newTable(b)
	group4, group6 := netip.MustParseAddr("10.209.0.1"), netip.MustParseAddr("fd5a::1")
	to := netip.MustParseAddrPort("192.0.2.1:53")
	others := 0
	for _, count := range []int{0, 1000, 200_000} {
		for ; others < count; others++ {
			from := netip.AddrFrom4([4]byte{10, 210, byte(others >> 8), byte(others)})
			to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(others >> 16)}), 443)
			x.add(Flow{Protocol: unix.IPPROTO_UDP, From: netip.AddrPortFrom(from, 5000), To: to, Answers: to})
		}
		b.Run(fmt.Sprint(count, " others"), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				for i := range 100 {
					x.add(Flow{Protocol: unix.IPPROTO_UDP, From: netip.AddrPortFrom(group4, uint16(5000+i)), To: to, Answers: to})
				}
				b.StartTimer()
				got, err := With(group4, group6)
				if err != nil || len(got) != 100 {
					b.Fatalf("%d flows, %v", len(got), err)
				}
				if err := Delete(got...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
