package netns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of [DialOwned] that are about who listens.
var (
	ErrNoListener = errors.New("no process listens at the port")
	ErrNotOwned   = errors.New("a process of another container listens at the port")
)

// DialOwned connects to a TCP port in the namespace pinned at path, at an address of its own, if
// the listener was made in a cgroup that owns approves of, by the kernel's number of it.
//
// It looks twice. If any listener of the port is another's, it does not connect. And when it has
// connected, it asks the kernel for the socket at the other end, which a connection keeps for its
// life: a listener that came in between, or shares the port, is found by this. Until then nothing
// is sent. The number of a socket's cgroup is that of the rules: where the socket was made.
func DialOwned(ctx context.Context, path string, port uint16, owns func(cgroup uint64) bool) (net.Conn, error) {
	ns, err := Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSocket, err)
	}
	defer ns.Close()
	var at []netip.Addr
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := diagnose(ns, unix.NLM_F_DUMP, diagRequest{family: family, states: 1 << tcpListen, local: netip.AddrPortFrom(netip.Addr{}, port)})
		if err != nil {
			return nil, fmt.Errorf("list who listens: %w", err)
		}
		for _, s := range found {
			if !owns(s.cgroup) {
				return nil, ErrNotOwned
			}
			if at == nil {
				at = reached(s.local.Addr())
			}
		}
	}
	if at == nil {
		return nil, ErrNoListener
	}
	var conn net.Conn
	for _, addr := range at {
		if conn, err = dial(ctx, ns, netip.AddrPortFrom(addr, port)); !errors.Is(err, unix.ECONNREFUSED) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if err := checkOwner(ctx, ns, conn, owns); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// reached returns the addresses of the namespace at which a listener may be reached. One at all
// addresses of IPv6 may have those of IPv4 too, and no others where IPv6 is turned off.
func reached(at netip.Addr) []netip.Addr {
	v4 := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	switch at {
	case netip.IPv4Unspecified():
		return []netip.Addr{v4}
	case netip.IPv6Unspecified():
		return []netip.Addr{v4, netip.IPv6Loopback()}
	}
	return []netip.Addr{at}
}

// ownerTime is how long the other end of a connection may take to be there. The kernel makes it
// with the last packet of the handshake, but one that waits for data (TCP_DEFER_ACCEPT) makes it
// later: such a listener can't be judged.
const ownerTime = 2 * time.Second

// checkOwner returns an error unless the socket at the other end was made in a cgroup of the owner.
func checkOwner(ctx context.Context, ns *os.File, conn net.Conn, owns func(cgroup uint64) bool) error {
	here, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return err
	}
	there, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return err
	}
	req := diagRequest{family: unix.AF_INET, states: ^uint32(0), local: there, remote: here, device: loopback}
	if there.Addr().Is6() {
		req.family = unix.AF_INET6
	}
	for end := time.Now().Add(ownerTime); ; {
		found, err := diagnose(ns, 0, req)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("look at the other end: %w", err)
		}
		for _, s := range found {
			if s.local != there || s.remote != here || s.state == tcpSynRecv || s.state == tcpNewSynRecv {
				continue // a listener, or half a connection
			}
			if !owns(s.cgroup) {
				return ErrNotOwned
			}
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: the other end of the connection is not to be seen", ErrNotOwned)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// States of TCP sockets (include/net/tcp_states.h).
const (
	tcpSynRecv    = 3
	tcpListen     = 10
	tcpNewSynRecv = 12
)

// A diagRequest is a struct inet_diag_req_v2 (linux/inet_diag.h) for TCP.
type diagRequest struct {
	family        uint8
	states        uint32         // a bit for each
	local, remote netip.AddrPort // for a list the local port alone
	device        uint32         // by which the socket gets its packets; zero for a list
}

// loopback is the number of the loopback device in every namespace.
const loopback = 1

// A tcpSocket is a socket as the kernel lists it.
type tcpSocket struct {
	local, remote netip.AddrPort // an IPv4 address of an IPv6 socket is one of IPv4
	state         uint8
	cgroup        uint64 // 0: not known
}

const (
	diagRequestSize = 56
	diagMessageSize = 72
	diagCgroupID    = 21 // INET_DIAG_CGROUP_ID, since Linux 5.7
)

func (r diagRequest) message(flags uint16) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+diagRequestSize)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|flags)
	p := b[unix.SizeofNlMsghdr:]
	p[0], p[1] = r.family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(p[4:], r.states)
	binary.BigEndian.PutUint16(p[8:], r.local.Port())
	binary.BigEndian.PutUint16(p[10:], r.remote.Port())
	if r.local.IsValid() {
		copy(p[12:28], r.local.Addr().AsSlice())
		copy(p[28:44], r.remote.Addr().AsSlice())
	}
	binary.NativeEndian.PutUint32(p[44:], r.device)
	for i := 48; i < 56; i++ {
		p[i] = 0xff // INET_DIAG_NOCOOKIE
	}
	return b
}

// diagnose asks the kernel for sockets of a namespace (sock_diag(7)).
func diagnose(ns *os.File, flags uint16, req diagRequest) ([]tcpSocket, error) {
	var fd int
	err := Inside(ns, func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return nil, err
	}
	if err := unix.Sendto(fd, req.message(flags), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var found []tcpSocket
	buf := make([]byte, 64<<10)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // a process, and not the kernel
		}
		for b := buf[:n]; len(b) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.SizeofNlMsghdr || size > len(b) {
				return nil, errors.New("an answer of the kernel is cut off")
			}
			body := b[unix.SizeofNlMsghdr:size]
			switch binary.NativeEndian.Uint16(b[4:]) {
			case unix.NLMSG_DONE:
				return found, nil
			case unix.NLMSG_ERROR:
				if len(body) < 4 {
					return nil, errors.New("an answer of the kernel is cut off")
				}
				if errno := -int32(binary.NativeEndian.Uint32(body)); errno != 0 {
					return nil, unix.Errno(errno)
				}
				return found, nil
			case unix.SOCK_DIAG_BY_FAMILY:
				s, err := parseSocket(body)
				if err != nil {
					return nil, err
				}
				if found = append(found, s); flags&unix.NLM_F_DUMP == 0 {
					return found, nil
				}
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}

// parseSocket parses a struct inet_diag_msg and its attributes.
func parseSocket(b []byte) (s tcpSocket, err error) {
	if len(b) < diagMessageSize {
		return s, errors.New("an answer of the kernel is cut off")
	}
	size := 4
	if b[0] == unix.AF_INET6 {
		size = 16
	}
	s.state = b[1]
	local, _ := netip.AddrFromSlice(b[8 : 8+size])
	remote, _ := netip.AddrFromSlice(b[24 : 24+size])
	s.local = netip.AddrPortFrom(local.Unmap(), binary.BigEndian.Uint16(b[4:]))
	s.remote = netip.AddrPortFrom(remote.Unmap(), binary.BigEndian.Uint16(b[6:]))
	for a := b[diagMessageSize:]; len(a) >= unix.SizeofNlAttr; {
		size := int(binary.NativeEndian.Uint16(a))
		if size < unix.SizeofNlAttr || size > len(a) {
			break
		}
		if binary.NativeEndian.Uint16(a[2:]) == diagCgroupID && size >= unix.SizeofNlAttr+8 {
			s.cgroup = binary.NativeEndian.Uint64(a[unix.SizeofNlAttr:])
		}
		a = a[min((size+3)&^3, len(a)):]
	}
	return s, nil
}
