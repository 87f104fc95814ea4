package netnstest

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/helper"
)

// The calls that only tests make. Their names are part of errors.
const (
	callAccept       = "accept"
	callSend         = "send"
	callReceive      = "receive"
	callSetInt       = "setsockopt"
	callSetString    = "setsockopt string"
	callPick         = "setsockopt SO_ATTACH_REUSEPORT_CBPF"
	callLocal        = "getsockname"
	callLocalUnix    = "getsockname unix"
	callUnixPair     = "socketpair"
	callOriginalDest = "getsockopt SO_ORIGINAL_DST"
)

// registerCalls adds them to the calls of a helper that is this test binary.
func registerCalls() {
	helper.Register(callAccept, accept)
	helper.Register(callSend, func(r helper.Request) (helper.Reply, error) {
		return helper.Reply{}, unix.Send(r.Socket, r.Data, unix.MSG_NOSIGNAL)
	})
	helper.Register(callReceive, receive)
	helper.Register(callSetInt, func(r helper.Request) (helper.Reply, error) {
		return helper.Reply{}, unix.SetsockoptInt(r.Socket, r.Ints[0], r.Ints[1], r.Ints[2])
	})
	helper.Register(callSetString, func(r helper.Request) (helper.Reply, error) {
		return helper.Reply{}, unix.SetsockoptString(r.Socket, r.Ints[0], r.Ints[1], string(r.Data))
	})
	helper.Register(callPick, func(r helper.Request) (helper.Reply, error) {
		ret := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(r.Ints[0])}
		program := unix.SockFprog{Len: 1, Filter: &ret}
		return helper.Reply{}, unix.SetsockoptSockFprog(r.Socket, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &program)
	})
	helper.Register(callLocal, func(r helper.Request) (helper.Reply, error) {
		sa, err := unix.Getsockname(r.Socket)
		return helper.Reply{Addr: addrPort(sa)}, err
	})
	helper.Register(callLocalUnix, func(r helper.Request) (helper.Reply, error) {
		sa, err := unix.Getsockname(r.Socket)
		if err != nil {
			return helper.Reply{}, err
		}
		return helper.Reply{Data: []byte(sa.(*unix.SockaddrUnix).Name)}, nil
	})
	helper.Register(callUnixPair, func(r helper.Request) (helper.Reply, error) {
		pair, err := unix.Socketpair(unix.AF_UNIX, r.Ints[0]|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return helper.Reply{Socket: pair[0], Data: []byte{byte(pair[1])}}, err
	})
	helper.Register(callOriginalDest, func(r helper.Request) (helper.Reply, error) {
		addr, err := originalDest(r.Socket)
		return helper.Reply{Addr: addr}, err
	})
}

func accept(r helper.Request) (helper.Reply, error) {
	if err := helper.Poll(r.Socket, unix.POLLIN, r.Timeout); err != nil {
		return helper.Reply{}, err
	}
	fd, _, err := unix.Accept4(r.Socket, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	return helper.Reply{Socket: fd}, err
}

func receive(r helper.Request) (helper.Reply, error) {
	if err := helper.Poll(r.Socket, unix.POLLIN, r.Timeout); err != nil {
		return helper.Reply{}, err
	}
	buf := make([]byte, 64<<10)
	n, from, err := unix.Recvfrom(r.Socket, buf, 0)
	if err != nil {
		return helper.Reply{}, err
	}
	return helper.Reply{Data: buf[:n], Addr: addrPort(from)}, nil
}

// originalDest reads the option, which has the same number for both families. The library has no
// function for it, so those for options of the same length are used.
func originalDest(fd int) (netip.AddrPort, error) {
	const soOriginalDst = 80
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if domain == unix.AF_INET6 {
		sa, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, soOriginalDst)
		if err != nil {
			return netip.AddrPort{}, err
		}
		port := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, sa.Addr.Port))
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr.Addr), port), nil
	}
	sa, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, soOriginalDst)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa.Multiaddr[4:8])), binary.BigEndian.Uint16(sa.Multiaddr[2:4])), nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch x := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(x.Addr), uint16(x.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(x.Addr), uint16(x.Port))
	}
	return netip.AddrPort{}
}
