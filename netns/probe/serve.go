package probe

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type op string

const (
	opOriginalDest op = "getsockopt SO_ORIGINAL_DST"

	opHello     op = "hello"
	opSocket    op = "socket"
	opConnect   op = "connect"
	opBind      op = "bind"
	opListen    op = "listen"
	opAccept    op = "accept"
	opSend      op = "send"
	opReceive   op = "receive"
	opSetInt    op = "setsockopt"
	opSetString op = "setsockopt string"
	opPick      op = "setsockopt SO_ATTACH_REUSEPORT_CBPF"
	opLocal     op = "getsockname"
	opClose     op = "close"
)

// A request is one line to the process, a reply one line back.
type request struct {
	Op      op
	ID      int `json:",omitempty"`
	Ints    []int
	Addr    netip.AddrPort
	Data    []byte `json:",omitempty"` // any bytes: a string would lose those that are no UTF-8
	Timeout time.Duration
}

type reply struct {
	Errno syscall.Errno
	ID    int
	NewID int
	Addr  netip.AddrPort
	Data  []byte
	Took  int64 // nanoseconds
}

// serve is the life of a probe's process. All of it happens on one thread, which is in the namespace given as file 3.
func serve(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	if err := unix.Setns(3, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	unix.Close(3)
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var r request
		if err := dec.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		start := time.Now()
		got, err := do(r)
		got.Took = time.Since(start).Nanoseconds()
		if err != nil && !errors.As(err, &got.Errno) {
			got.Errno = unix.EINVAL
		}
		if err := enc.Encode(got); err != nil {
			return err
		}
	}
}

// Ids of sockets are their descriptors.
func do(r request) (reply, error) {
	switch r.Op {
	case opHello:
		return reply{}, nil
	case opSocket:
		fd, err := unix.Socket(r.Ints[0], r.Ints[1]|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, r.Ints[2])
		return reply{ID: fd}, err
	case opConnect:
		return reply{}, connect(r.ID, sockaddr(r.ID, r.Addr), r.Timeout)
	case opBind:
		return reply{}, unix.Bind(r.ID, sockaddr(r.ID, r.Addr))
	case opListen:
		return reply{}, unix.Listen(r.ID, 128)
	case opAccept:
		if err := wait(r.ID, unix.POLLIN, r.Timeout); err != nil {
			return reply{}, err
		}
		fd, _, err := unix.Accept4(r.ID, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return reply{NewID: fd}, err
	case opSend:
		if r.Addr.IsValid() {
			return reply{}, unix.Sendto(r.ID, r.Data, unix.MSG_NOSIGNAL, sockaddr(r.ID, r.Addr))
		}
		return reply{}, unix.Send(r.ID, r.Data, unix.MSG_NOSIGNAL)
	case opReceive:
		return receive(r.ID, r.Timeout)
	case opSetInt:
		return reply{}, unix.SetsockoptInt(r.ID, r.Ints[0], r.Ints[1], r.Ints[2])
	case opSetString:
		return reply{}, unix.SetsockoptString(r.ID, r.Ints[0], r.Ints[1], string(r.Data))
	case opPick:
		ret := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(r.Ints[0])}
		return reply{}, unix.SetsockoptSockFprog(r.ID, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: 1, Filter: &ret})
	case opLocal:
		sa, err := unix.Getsockname(r.ID)
		return reply{Addr: addrPort(sa)}, err
	case opOriginalDest:
		addr, err := originalDest(r.ID)
		return reply{Addr: addr}, err
	case opClose:
		return reply{}, unix.Close(r.ID)
	}
	return reply{}, unix.ENOSYS
}

func connect(fd int, sa unix.Sockaddr, timeout time.Duration) error {
	err := unix.Connect(fd, sa)
	if !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	if err := wait(fd, unix.POLLOUT, timeout); err != nil {
		return err
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = syscall.Errno(errno)
	}
	return err
}

// originalDest: the option has the same number for both families, and the library functions for others that are as long.
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

func receive(fd int, timeout time.Duration) (reply, error) {
	if err := wait(fd, unix.POLLIN, timeout); err != nil {
		return reply{}, err
	}
	buf := make([]byte, 64<<10)
	n, from, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return reply{}, err
	}
	return reply{Data: buf[:n], Addr: addrPort(from)}, nil
}

func wait(fd int, events int16, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, int(max(0, time.Until(deadline).Milliseconds())))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return unix.ETIMEDOUT
		default:
			return nil
		}
	}
}

// sockaddr fits an address to the socket's family: an IPv4 one on an IPv6 socket is mapped.
func sockaddr(fd int, a netip.AddrPort) unix.Sockaddr {
	domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if domain == unix.AF_INET6 {
		return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
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
