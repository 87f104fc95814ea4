// Package conntrack lists and deletes the flows that the kernel tracks in one network namespace.
//
// Pitfall: a flow that is deleted is not ended. Its next packet begins a new flow, which the rules
// judge. Connection tracking takes a TCP packet from the middle of a connection for the first of a
// flow as well (net.netfilter.nf_conntrack_tcp_loose): the rules have to refuse it.
package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
)

// ErrUnsupported means that the kernel has no way to list flows (CONFIG_NF_CT_NETLINK).
var ErrUnsupported = errors.New("the kernel can't list the connections that it tracks")

// A Flow is one connection that the kernel tracks, or the datagrams between two ends. Ports
// are 0 for protocols that have none.
type Flow struct {
	Protocol byte // unix.IPPROTO_TCP
	// From and To are the ends as the one who opened the flow sees them.
	From, To netip.AddrPort
	// Answers is the end that answers. It is not To if the destination was rewritten.
	Answers netip.AddrPort

	key []byte // attributes that name the flow to the kernel
}

// Attributes of include/uapi/linux/netfilter/nfnetlink_conntrack.h that the library does not name.
const (
	ctaFilter           = 25 // CTA_FILTER, since Linux 5.8
	ctaFilterOrigFlags  = 1
	ctaFilterReplyFlags = 2
	filterSourceAddress = 1 // CTA_FILTER_FLAG(CTA_IP_SRC)
)

// fewFlows is how many tracked flows are listed faster as a whole than by several selections. Each
// list makes the kernel go through its whole table.
const fewFlows = 4096

// With lists the flows that one of these addresses opened or answers, in this thread's network
// namespace.
func With(addresses ...netip.Addr) ([]Flow, error) {
	wanted := map[netip.Addr]bool{}
	var v4 []netip.Addr
	for _, a := range addresses {
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a)
		}
		wanted[a] = true
	}
	match := func(f Flow) bool { return wanted[f.From.Addr()] || wanted[f.Answers.Addr()] }
	count, err := countFlows()
	switch {
	case err != nil || count == 0 || len(wanted) == 0:
		return nil, err
	case count <= fewFlows || len(v4) > 1:
		return list(unix.AF_UNSPEC, match)
	}
	return selected(v4, len(wanted) > len(v4), match)
}

// selected lets the kernel select the flows of IPv4 addresses. It can't for IPv6: it sends every
// flow but those asked for (ctnetlink_filter_match_tuple compares the wrong way, seen in 6.18).
func selected(v4 []netip.Addr, v6 bool, match func(Flow) bool) ([]Flow, error) {
	var out []Flow
	for _, a := range v4 {
		opened, err := list(unix.AF_INET, match, selectBy(a, nl.CTA_TUPLE_ORIG, ctaFilterOrigFlags)...)
		if err != nil {
			return nil, err
		}
		answered, err := list(unix.AF_INET, match, selectBy(a, nl.CTA_TUPLE_REPLY, ctaFilterReplyFlags)...)
		if err != nil {
			return nil, err
		}
		out = append(out, slices.DeleteFunc(answered, func(f Flow) bool { return f.From.Addr() == a })...)
		out = append(out, opened...)
	}
	if !v6 {
		return out, nil
	}
	all, err := list(unix.AF_INET6, match)
	return append(out, all...), err
}

// selectBy returns the attributes that ask for the flows with this source in one of their tuples.
func selectBy(a netip.Addr, tuple, flags int) []*nl.RtAttr {
	ends := nl.NewRtAttr(nested(tuple), nil)
	ends.AddRtAttr(nested(nl.CTA_TUPLE_IP), nil).AddRtAttr(nl.CTA_IP_V4_SRC, a.AsSlice())
	filter := nl.NewRtAttr(nested(ctaFilter), nil)
	filter.AddRtAttr(flags, nl.Uint32Attr(filterSourceAddress))
	return []*nl.RtAttr{ends, filter}
}

// countFlows returns how many flows the kernel tracks in this thread's network namespace. Without
// connection tracking there are none.
func countFlows() (int, error) {
	text, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count tracked flows: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func list(family byte, match func(Flow) bool, attrs ...*nl.RtAttr) ([]Flow, error) {
	flows, err := netns.Dump(func() ([]Flow, error) {
		var out []Flow
		req := request(nl.IPCTNL_MSG_CT_GET, unix.NLM_F_DUMP, family)
		for _, a := range attrs {
			req.AddData(a)
		}
		err := req.ExecuteIter(unix.NETLINK_NETFILTER, 0, func(message []byte) bool {
			if f, ok := parseFlow(message); ok && match(f) {
				out = append(out, f)
			}
			return true
		})
		return out, err
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err != nil {
		return nil, fmt.Errorf("list tracked flows: %w", err)
	}
	return flows, nil
}

// Delete deletes flows that were listed. The kernel compares the flow's id, so that it seldom
// deletes a later flow with the same ends. A flow that is gone is no error.
func Delete(flows ...Flow) error {
	if len(flows) == 0 {
		return nil
	}
	socket, err := nl.Subscribe(unix.NETLINK_NETFILTER) // one for all; it subscribes to nothing
	if err != nil {
		return fmt.Errorf("delete tracked flows: %w", err)
	}
	defer socket.Close()
	if err := socket.SetReceiveTimeout(&nl.SocketTimeoutTv); err != nil {
		return fmt.Errorf("delete tracked flows: %w", err)
	}
	shared := map[int]*nl.SocketHandle{unix.NETLINK_NETFILTER: {Socket: socket}}
	for _, f := range flows {
		req := request(nl.IPCTNL_MSG_CT_DELETE, unix.NLM_F_ACK, family(f.From.Addr()))
		req.Sockets = shared
		req.AddRawData(f.key)
		if _, err := req.Execute(unix.NETLINK_NETFILTER, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("delete the tracked flow from %s to %s: %w", f.From, f.To, err)
		}
	}
	return nil
}

func request(message, flags int, family byte) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|message, flags)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: family, Version: nl.NFNETLINK_V0})
	return req
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func nested(attr int) int { return attr | int(nl.NLA_F_NESTED) }

// parseFlow reads a message of the kernel. It returns false for one that has no ends.
func parseFlow(message []byte) (f Flow, ok bool) {
	each(message[min(nl.SizeofNfgenmsg, len(message)):], func(attr uint16, whole, value []byte) {
		switch attr {
		case nl.CTA_TUPLE_ORIG:
			f.Protocol, f.From, f.To = parseTuple(value)
			f.key = append(f.key, whole...)
		case nl.CTA_TUPLE_REPLY:
			_, f.Answers, _ = parseTuple(value)
		case nl.CTA_ID, nl.CTA_ZONE:
			f.key = append(f.key, whole...)
		}
	})
	return f, f.From.Addr().IsValid() && f.To.Addr().IsValid() && f.Answers.Addr().IsValid()
}

func parseTuple(tuple []byte) (protocol byte, from, to netip.AddrPort) {
	var source, dest netip.Addr
	var ports [2]uint16
	each(tuple, func(attr uint16, _, value []byte) {
		each(value, func(inner uint16, _, value []byte) {
			switch {
			case attr == nl.CTA_TUPLE_IP && (inner == nl.CTA_IP_V4_SRC || inner == nl.CTA_IP_V6_SRC):
				source, _ = netip.AddrFromSlice(value)
			case attr == nl.CTA_TUPLE_IP && (inner == nl.CTA_IP_V4_DST || inner == nl.CTA_IP_V6_DST):
				dest, _ = netip.AddrFromSlice(value)
			case attr == nl.CTA_TUPLE_PROTO && inner == nl.CTA_PROTO_NUM && len(value) == 1:
				protocol = value[0]
			case attr == nl.CTA_TUPLE_PROTO && inner == nl.CTA_PROTO_SRC_PORT && len(value) == 2:
				ports[0] = binary.BigEndian.Uint16(value)
			case attr == nl.CTA_TUPLE_PROTO && inner == nl.CTA_PROTO_DST_PORT && len(value) == 2:
				ports[1] = binary.BigEndian.Uint16(value)
			}
		})
	})
	return protocol, netip.AddrPortFrom(source, ports[0]), netip.AddrPortFrom(dest, ports[1])
}

// each calls do with each attribute: its type, the whole attribute with its padding, and its value.
func each(attrs []byte, do func(attr uint16, whole, value []byte)) {
	for len(attrs) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(attrs))
		padded := (length + unix.RTA_ALIGNTO - 1) &^ (unix.RTA_ALIGNTO - 1)
		if length < unix.SizeofRtAttr || padded > len(attrs) {
			return
		}
		do(binary.NativeEndian.Uint16(attrs[2:])&nl.NLA_TYPE_MASK, attrs[:padded], attrs[unix.SizeofRtAttr:length])
		attrs = attrs[padded:]
	}
}
