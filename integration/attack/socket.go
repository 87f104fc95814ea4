package main

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// within runs f on a new socket with a send and receive timeout.
func within(t target, typ, proto int, f func(fd int) (string, error)) (string, error) {
	fd, err := unix.Socket(t.family(), typ|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	tv := unix.NsecToTimeval(int64(300 * time.Millisecond))
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
	return f(fd)
}

// connect connects, sends and reads an answer. It goes on without prepare if prepare fails, as an
// attacker would.
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

// exchange sends twice, because an error that came back for the first datagram shows at the second.
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
