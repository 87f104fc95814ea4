package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoSocket is in DialLoopback's error if no connection was tried: the namespace is absent, or no
// descriptor or local port is left. Such an error is not about the listener.
var ErrNoSocket = errors.New("no socket in the namespace")

// DialLoopback connects to a TCP port on the loopback of the namespace pinned at path: on 127.0.0.1
// and, if that is refused, on ::1. A program that resolved "localhost" to one address may listen on
// ::1 alone. If both refuse, the error is the first one.
//
// Only the socket is made in the namespace. A socket stays in its namespace, so it can be connected
// and used from anywhere. It belongs neither to the members nor to the ambassador, so the rules
// keep it to the loopback.
func DialLoopback(ctx context.Context, path string, port uint16) (net.Conn, error) {
	ns, err := Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSocket, err)
	}
	defer ns.Close()
	v4 := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	conn, err := dial(ctx, ns, netip.AddrPortFrom(v4, port))
	if errors.Is(err, unix.ECONNREFUSED) {
		if v6, err := dial(ctx, ns, netip.AddrPortFrom(netip.IPv6Loopback(), port)); err == nil {
			return v6, nil
		}
	}
	return conn, err
}

func dial(ctx context.Context, ns *os.File, to netip.AddrPort) (net.Conn, error) {
	fd, err := socketIn(ns, to.Addr())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSocket, err)
	}
	err = unix.Connect(fd, sockaddr(to))
	f := os.NewFile(uintptr(fd), "tcp "+to.String()) // after connect: to the poller an unconnected socket looks closed
	defer f.Close()
	switch {
	case err == nil:
	case errors.Is(err, unix.EINPROGRESS):
		if err := connected(ctx, f); err != nil {
			return nil, fmt.Errorf("connect to %s: %w", to, err)
		}
	case errors.Is(err, unix.ECONNREFUSED):
		return nil, fmt.Errorf("connect to %s: %w", to, err)
	default:
		return nil, fmt.Errorf("%w: connect to %s: %w", ErrNoSocket, to, err)
	}
	conn, err := net.FileConn(f) // with a descriptor of its own
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSocket, err)
	}
	if conn.LocalAddr().String() == conn.RemoteAddr().String() {
		conn.Close()
		// The kernel chose the very port as the local one, so the socket connected to itself: there
		// is no listener.
		return nil, fmt.Errorf("connect to %s: %w", to, unix.ECONNREFUSED)
	}
	return conn, nil
}

// socketIn makes a non-blocking TCP socket in the namespace.
func socketIn(ns *os.File, addr netip.Addr) (fd int, err error) {
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	err = Inside(ns, func() (err error) {
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		return err
	})
	return fd, err
}

func sockaddr(to netip.AddrPort) unix.Sockaddr {
	if to.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	}
	return &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}
}

// connected waits until a connection has been made or refused, or ctx ends.
func connected(ctx context.Context, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	var outcome error
	err = raw.Write(func(fd uintptr) (done bool) {
		errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			outcome = err
		case errno != 0:
			outcome = unix.Errno(errno)
		default:
			_, err := unix.Getpeername(int(fd))
			return err == nil // without a peer this is a spurious wake-up
		}
		return true
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	default:
		return outcome
	}
}
