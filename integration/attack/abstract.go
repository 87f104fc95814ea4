package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Sockets are handed over by abstract unix sockets, whose names are five hexadecimal digits, as the
// kernel's own choice (autobind) is. Both sides give a UDP socket of their own to the other, and
// send by what they are given. A datagram goes one way, so there only the caller gives.

// unixKinds are the kinds of unix sockets, in the order of their names.
var unixKinds = []struct {
	name string
	kind int
}{{"stream", unix.SOCK_STREAM}, {"seqpacket", unix.SOCK_SEQPACKET}, {"dgram", unix.SOCK_DGRAM}}

func init() {
	for _, k := range unixKinds {
		techniques["abstract-"+k.name] = func(t target) (string, error) { return "", handOver(k.kind, t) }
	}
}

func abstractName(number int) string { return fmt.Sprintf("@%05x", number) }

// offer waits for callers at three names from first on, one of each kind, and at three that the
// kernel chooses. It prints those: "autobound stream 10".
func offer(first int) error {
	ended := make(chan error)
	for i, k := range unixKinds {
		for _, name := range []string{abstractName(first + i), ""} {
			fd, err := unix.Socket(unix.AF_UNIX, k.kind|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
				return err
			}
			if name == "" {
				sa, err := unix.Getsockname(fd)
				if err != nil {
					return err
				}
				number, err := strconv.ParseUint(strings.TrimPrefix(sa.(*unix.SockaddrUnix).Name, "@"), 16, 31)
				if err != nil {
					return err
				}
				fmt.Println("autobound", k.name, number)
			}
			if k.kind != unix.SOCK_DGRAM {
				if err := unix.Listen(fd, 8); err != nil {
					return err
				}
			}
			go func() { ended <- answerCallers(fd, k.kind) }()
		}
	}
	fmt.Println("offering from", first)
	return <-ended
}

func answerCallers(fd, kind int) error {
	for {
		c := fd
		if kind != unix.SOCK_DGRAM {
			var err error
			if c, _, err = unix.Accept4(fd, unix.SOCK_CLOEXEC); err != nil {
				return err
			}
		}
		to, err := take(c)
		if err == nil && kind != unix.SOCK_DGRAM {
			err = give(c, to, nil)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "attack:", err) // a caller that gives nothing
		}
		if c != fd {
			unix.Close(c)
		}
	}
}

// handOver calls the socket whose name is the target's port.
func handOver(kind int, t target) error {
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	at := &unix.SockaddrUnix{Name: abstractName(t.port)}
	if kind == unix.SOCK_DGRAM {
		return give(fd, t.ip.String(), at)
	}
	if err := unix.Connect(fd, at); err != nil {
		return err
	}
	if err := give(fd, t.ip.String(), nil); err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	_, err = take(fd)
	return err
}

// give sends a UDP socket of ours, with the address to which it is to be used.
func give(fd int, ip string, at unix.Sockaddr) error {
	udp, err := unix.Socket(target{ip: net.ParseIP(ip)}.family(), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(udp)
	return unix.Sendmsg(fd, []byte(ip), unix.UnixRights(udp), at, 0)
}

// take receives a socket and sends a datagram by it. Whether that gets out is for the capture to
// say.
func take(fd int) (ip string, err error) {
	buf, rights := make([]byte, 64), make([]byte, unix.CmsgSpace(4))
	n, size, _, _, err := unix.Recvmsg(fd, buf, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return "", err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:size])
	if err != nil || len(messages) == 0 {
		return "", fmt.Errorf("received no socket: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return "", fmt.Errorf("received no socket: %w", err)
	}
	defer unix.Close(fds[0])
	to := target{ip: net.ParseIP(string(buf[:n])), port: 9}
	if to.ip == nil {
		return "", fmt.Errorf("received no address: %q", buf[:n])
	}
	for range 3 { // the first may wait for the neighbour's answer
		_ = unix.Sendto(fds[0], payload, 0, to.sockaddr())
		time.Sleep(10 * time.Millisecond)
	}
	return string(buf[:n]), nil
}
