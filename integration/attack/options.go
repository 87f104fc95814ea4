package main

import (
	"errors"
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

func mark(fd int, _ target) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 1)
}

// Addresses that no host here has.
var otherSource4, otherSource6 = net.IPv4(198, 51, 100, 77).To4(), net.ParseIP("2001:db8:77::7")

// otherSource binds an address that is not the group's. It binds it transparently if it has the
// right, else freely, which needs no right.
func otherSource(fd int, t target) error {
	if t.v6() {
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1)
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
		return unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte(otherSource6)})
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(otherSource4)})
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

// asUser first takes the ambassador's uid and gid, in a thread that then ends with the process.
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

// onlink makes the kernel treat the destination as a neighbour.
func onlink(fd int, _ target) error {
	return errors.Join(unix.BindToDevice(fd, "eth0"), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DONTROUTE, 1))
}

// segment makes the kernel cut one send into several datagrams after the rules have seen it.
func segment(fd int, _ target) error {
	return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 8)
}

// pktinfo claims another source address for one datagram.
func pktinfo(t target) (string, error) {
	return within(t, unix.SOCK_DGRAM, 0, func(fd int) (string, error) {
		var oob []byte
		if t.v6() {
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
			oob = unix.PktInfo6(&unix.Inet6Pktinfo{Addr: [16]byte(otherSource6)})
		} else {
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
			oob = unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte(otherSource4)})
		}
		return "", unix.Sendmsg(fd, payload, oob, t.sockaddr(), 0)
	})
}

// sourceRoute sends a datagram to the group's own address, with a route that leads on from there.
func sourceRoute(t target) (string, error) {
	return within(t, unix.SOCK_DGRAM, 0, func(fd int) (string, error) {
		own, err := ownAddress(t.v6())
		if err != nil {
			return "", err
		}
		if t.v6() {
			// A segment routing header: next, length in words of 8 after the first, type, segments
			// left, last entry, flags, tag.
			header := append([]byte{0, 4, 4, 1, 1, 0, 0, 0}, t.ip.To16()...)
			err = unix.SetsockoptString(fd, unix.IPPROTO_IPV6, unix.IPV6_RTHDR, string(append(header, own.To16()...)))
		} else {
			const looseSourceRoute = 131
			option := append([]byte{looseSourceRoute, 11, 4}, own.To4()...)
			option = append(append(option, t.ip.To4()...), 0)
			err = unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, string(option))
		}
		if err != nil {
			return "", err
		}
		return "", unix.Sendto(fd, payload, 0, t.sockaddr())
	})
}

// ownAddress returns the group's address on eth0.
func ownAddress(v6 bool) (net.IP, error) {
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return nil, err
	}
	addrs, err := link.Addrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && (n.IP.To4() == nil) == v6 && n.IP.IsGlobalUnicast() {
			return n.IP, nil
		}
	}
	return nil, errors.Join(errors.New("eth0 has no address"), err)
}
