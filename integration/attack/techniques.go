package main

import (
	"errors"
	"maps"
	"net"

	"golang.org/x/sys/unix"
)

// payload marks everything we send.
var payload = []byte("sallyport-attack")

type target struct {
	ip   net.IP
	port int // or the process that is meant
}

func (t target) v6() bool { return t.ip.To4() == nil }

func (t target) family() int {
	if t.v6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func (t target) sockaddr() unix.Sockaddr {
	if ip := t.ip.To4(); ip != nil {
		return &unix.SockaddrInet4{Port: t.port, Addr: [4]byte(ip)}
	}
	a := &unix.SockaddrInet6{Port: t.port, Addr: [16]byte(t.ip.To16())}
	if t.ip.IsLinkLocalUnicast() || t.ip.IsLinkLocalMulticast() {
		if link, err := net.InterfaceByName("eth0"); err == nil {
			a.ZoneId = uint32(link.Index)
		}
	}
	return a
}

// A deed carries out one technique, and returns the answer.
type deed = func(target) (string, error)

// techniques are the ways out in the test list of netns/egress/RULES.md.
var techniques = map[string]deed{
	"tcp":             tcp,
	"udp":             udp,
	"udp-unconnected": sendto(unix.SOCK_DGRAM, 0, nil),
	"udplite":         sendto(unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, nil),
	"udp-gso":         sendto(unix.SOCK_DGRAM, 0, segment),
	"sctp":            connect(unix.SOCK_STREAM, unix.IPPROTO_SCTP, nil),
	"dccp":            connect(unix.SOCK_DCCP, unix.IPPROTO_DCCP, nil),
	"mptcp":           connect(unix.SOCK_STREAM, unix.IPPROTO_MPTCP, nil),
	"smc":             connect(unix.SOCK_STREAM, 256, nil), // IPPROTO_SMC, Linux 6.11
	"fastopen":        fastopen,
	"ping":            ping,
	"ping-socket":     open(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP),
	"ping-socket-6":   open(unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6),
	"raw-icmp":        rawICMP,
	"fragments":       fragments,
	"broadcast":       sendto(unix.SOCK_DGRAM, 0, func(fd int, _ target) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1) }),
	"multicast":       sendto(unix.SOCK_DGRAM, 0, nil),
	"multicast-join":  join,
	"neighbour":       sendto(unix.SOCK_DGRAM, 0, nil),
	"dontroute":       sendto(unix.SOCK_DGRAM, 0, onlink),
	"source-route":    sourceRoute,

	"ambassador-uid": asUser(99),
	"mark":           connect(unix.SOCK_STREAM, 0, mark),
	"bindtodevice":   connect(unix.SOCK_STREAM, 0, func(fd int, _ target) error { return unix.BindToDevice(fd, "eth0") }),
	"published-port": connect(unix.SOCK_STREAM, 0, bindPort(8443)),
	"v4-mapped":      v4Mapped,
	"ip-options":     connect(unix.SOCK_STREAM, 0, recordRoute),
	"pktinfo":        pktinfo,
	"other-source":   connect(unix.SOCK_STREAM, 0, otherSource),
	"other-source-by": connect(unix.SOCK_STREAM, 0, func(fd int, t target) error {
		return errors.Join(unix.BindToDevice(fd, "eth0"), otherSource(fd, t))
	}),
	"other-source-udp": connect(unix.SOCK_DGRAM, 0, otherSource),

	"packet":      packet,
	"packet-raw":  packetRaw,
	"sock-packet": open(unix.AF_INET, unix.SOCK_PACKET, 0x0300),
	"raw-ip":      sendto(unix.SOCK_RAW, experimental, nil),
	"raw-header":  rawHeader,
	"vsock":       open(unix.AF_VSOCK, unix.SOCK_STREAM, 0),
	"alg":         open(unix.AF_ALG, unix.SOCK_SEQPACKET, 0),
	"xdp":         open(unix.AF_XDP, unix.SOCK_RAW, 0),
	"netfilter":   open(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER),
	"x32":         x32,
	"io_uring":    uring,
}

func init() {
	for name, act := range tampering {
		techniques[name] = thenConnect(act)
	}
	maps.Copy(techniques, takeovers)
	maps.Copy(techniques, projects)
	maps.Copy(techniques, devices)
	maps.Copy(techniques, leases)
}
