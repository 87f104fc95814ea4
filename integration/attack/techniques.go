package main

import (
	"errors"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// payload marks everything we send.
var payload = []byte("sallyport-attack")

type target struct {
	ip   net.IP
	port int
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
	return &unix.SockaddrInet6{Port: t.port, Addr: [16]byte(t.ip.To16())}
}

// techniques are the ways out of ENFORCEMENT's test list that need nothing but a socket; each returns what was answered.
var techniques = map[string]func(target) (string, error){
	"tcp":             tcp,
	"udp":             udp,
	"udp-unconnected": sendto(unix.SOCK_DGRAM, 0, nil),
	"udplite":         sendto(unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, nil),
	"sctp":            connect(unix.SOCK_STREAM, unix.IPPROTO_SCTP, nil),
	"dccp":            connect(unix.SOCK_DCCP, unix.IPPROTO_DCCP, nil),
	"mptcp":           connect(unix.SOCK_STREAM, unix.IPPROTO_MPTCP, nil),
	"fastopen":        fastopen,
	"ping":            ping,
	"raw-icmp":        rawICMP,
	"raw-ip":          sendto(unix.SOCK_RAW, 253, nil),
	"packet":          packet,
	"fragments":       fragments,
	"broadcast":       sendto(unix.SOCK_DGRAM, 0, func(fd int, _ target) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1) }),
	"multicast":       sendto(unix.SOCK_DGRAM, 0, nil),
	"multicast-join":  join,
	"mark":            connect(unix.SOCK_STREAM, 0, mark),
	"bindtodevice":    connect(unix.SOCK_STREAM, 0, func(fd int, _ target) error { return unix.BindToDevice(fd, "eth0") }),
	"other-source":    connect(unix.SOCK_STREAM, 0, otherSource),
	"other-source-by": connect(unix.SOCK_STREAM, 0, func(fd int, t target) error {
		return errors.Join(unix.BindToDevice(fd, "eth0"), otherSource(fd, t))
	}),
	"v4-mapped":      v4Mapped,
	"ip-options":     connect(unix.SOCK_STREAM, 0, recordRoute),
	"published-port": connect(unix.SOCK_STREAM, 0, bindPort(8443)),
	"ambassador-uid": asUser(99),
}

// within runs f on a new socket with a send and receive timeout.
func within(t target, typ, proto int, f func(fd int) (string, error)) (string, error) {
	fd, err := unix.Socket(t.family(), typ|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	tv := unix.NsecToTimeval(int64(500 * time.Millisecond))
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
	return f(fd)
}

// connect connects, sends and reads an answer. prepare's error is not the end: an attacker goes on without.
func connect(typ, proto int, prepare func(int, target) error) func(target) (string, error) {
	return func(t target) (string, error) {
		return within(t, typ, proto, func(fd int) (string, error) {
			var first error
			if prepare != nil {
				first = prepare(fd, t)
			}
			if err := unix.Connect(fd, t.sockaddr()); err != nil {
				return "", errors.Join(first, err)
			}
			return exchange(fd)
		})
	}
}

// exchange sends twice: an error that came back for the first datagram shows at the second.
func exchange(fd int) (string, error) {
	for range 2 {
		if _, err := unix.Write(fd, payload); err != nil {
			return "", err
		}
	}
	buf := make([]byte, 64)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

func tcp(t target) (string, error) { return connect(unix.SOCK_STREAM, 0, nil)(t) }
func udp(t target) (string, error) { return connect(unix.SOCK_DGRAM, 0, nil)(t) }

// sendto sends twice on an unconnected socket.
func sendto(typ, proto int, prepare func(int, target) error) func(target) (string, error) {
	return func(t target) (string, error) {
		return within(t, typ, proto, func(fd int) (string, error) {
			var first error
			if prepare != nil {
				first = prepare(fd, t)
			}
			to := t
			if typ == unix.SOCK_RAW {
				to.port = 0
			}
			for range 2 {
				if err := unix.Sendto(fd, payload, 0, to.sockaddr()); err != nil {
					return "", errors.Join(first, err)
				}
			}
			return "", first
		})
	}
}

func fastopen(t target) (string, error) {
	return within(t, unix.SOCK_STREAM, 0, func(fd int) (string, error) {
		return "", unix.Sendto(fd, payload, unix.MSG_FASTOPEN, t.sockaddr())
	})
}

// echo is an ICMP echo request; the kernel fills in a ping socket's id and checksum, and a raw v6 socket's checksum.
func echo(v6 bool) []byte {
	m := append([]byte{8, 0, 0, 0, 0, 1, 0, 1}, payload...)
	if v6 {
		m[0] = 128
		return m
	}
	var sum uint32
	for i := 0; i < len(m); i += 2 {
		sum += uint32(m[i])<<8 | uint32(m[i+1])
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	m[2], m[3] = byte(^sum>>8), byte(^sum)
	return m
}

func icmp(typ int) func(target) (string, error) {
	return func(t target) (string, error) {
		proto := unix.IPPROTO_ICMP
		if t.v6() {
			proto = unix.IPPROTO_ICMPV6
		}
		return within(t, typ, proto, func(fd int) (string, error) {
			to := t
			to.port = 0
			return "", unix.Sendto(fd, echo(t.v6()), 0, to.sockaddr())
		})
	}
}

func ping(t target) (string, error)    { return icmp(unix.SOCK_DGRAM)(t) }
func rawICMP(t target) (string, error) { return icmp(unix.SOCK_RAW)(t) }

// packet writes an Ethernet frame past every IP hook.
func packet(t target) (string, error) {
	const localExperimental = 0x88b5
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return "", err
	}
	to := &unix.SockaddrLinklayer{Protocol: localExperimental>>8 | localExperimental&0xff<<8, Ifindex: link.Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	return "", unix.Sendto(fd, payload, 0, to)
}

// fragments sends a datagram larger than the link's MTU.
func fragments(t target) (string, error) {
	return within(t, unix.SOCK_DGRAM, 0, func(fd int) (string, error) {
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
		return "", unix.Sendto(fd, make([]byte, 4000), 0, t.sockaddr())
	})
}

// join makes the kernel report a membership on the member's behalf, IGMP or MLD.
func join(t target) (string, error) {
	return within(t, unix.SOCK_DGRAM, 0, func(fd int) (string, error) {
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return "", err
		}
		if t.v6() {
			m := &unix.IPv6Mreq{Multiaddr: [16]byte(t.ip.To16()), Interface: uint32(link.Index)}
			err = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, m)
		} else {
			m := &unix.IPMreqn{Multiaddr: [4]byte(t.ip.To4()), Ifindex: int32(link.Index)}
			err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m)
		}
		time.Sleep(300 * time.Millisecond) // the kernel reports after a while; leaving sooner would take it back
		return "", err
	})
}

func mark(fd int, _ target) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 1)
}

// otherSource binds an address that is not the group's: transparently where it may, freely otherwise, which needs no right.
func otherSource(fd int, t target) error {
	if t.v6() {
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1)
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
		return unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte(net.ParseIP("2001:db8:77::7"))})
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{198, 51, 100, 77}})
}

func v4Mapped(t target) (string, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet6{Port: t.port, Addr: [16]byte(t.ip.To16())}); err != nil {
		return "", err
	}
	return exchange(fd)
}

func recordRoute(fd int, t target) error {
	if t.v6() {
		return unix.SetsockoptString(fd, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, string([]byte{0, 0, 1, 4, 0, 0, 0, 0}))
	}
	return unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, string([]byte{7, 7, 4, 0, 0, 0, 0, 0}))
}

// bindPort takes the ambassador's own source port.
func bindPort(port int) func(int, target) error {
	return func(fd int, t target) error {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		if t.v6() {
			return unix.Bind(fd, &unix.SockaddrInet6{Port: port})
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Port: port})
	}
}

// asUser takes the ambassador's uid and gid first, in a thread that then ends with the process.
func asUser(uid int) func(target) (string, error) {
	return func(t target) (string, error) {
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			return "", errno
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			return "", errno
		}
		return tcp(t)
	}
}
