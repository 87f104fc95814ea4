package main

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Ports of the flows that members try to take over.
const (
	flowPort = 40000 // the ambassador's own, to the remote host
	doorPort = 7444  // published
)

// takeovers use the ambassador's flows, or listen in its place: class 5.
var takeovers = map[string]deed{
	"steal-tcp":  connect(unix.SOCK_STREAM, 0, shareAndListen(flowPort)),
	"steal-udp":  connect(unix.SOCK_DGRAM, 0, bindPort(flowPort)),
	"answer-tcp": connect(unix.SOCK_STREAM, 0, shareAndListen(doorPort)),
	"answer-udp": connect(unix.SOCK_DGRAM, 0, bindPort(doorPort)),
	"squat":      squat,
}

// shareAndListen also listens on the port, with a second socket beside the one that then connects
// from it.
func shareAndListen(port int) func(int, target) error {
	return func(fd int, t target) error {
		if l, err := unix.Socket(t.family(), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			defer unix.Close(l)
			if bindPort(port)(l, t) == nil {
				unix.Listen(l, 1)
			}
		}
		return bindPort(port)(fd, t)
	}
}

// share lets other sockets have the same port.
var share = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
	c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	return err
}}

// steady keeps a TCP and a UDP flow to the remote host, from a port that it shares. It sends a word
// on both, over and over.
func steady(host string, port int) error {
	to := target{net.ParseIP(host), port}
	var fds []int
	for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		fd, err := unix.Socket(to.family(), typ|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := bindPort(flowPort)(fd, to); err != nil {
			return err
		}
		if err := unix.Connect(fd, to.sockaddr()); err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	buf := make([]byte, 64)
	for {
		for _, fd := range fds {
			if _, err := unix.Write(fd, []byte("honest")); err != nil {
				return err
			}
			if _, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT); err != nil && err != unix.EAGAIN {
				return err
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// squat listens on the ambassador's port, with so many sockets that it gets most callers, and all
// datagrams. It goes on when the ambassador leaves and comes back.
func squat(target) (string, error) {
	ready, ended := make(chan error), make(chan error, 4)
	for range 4 {
		go func() {
			ended <- listen(share, doorPort, "member", func(u net.PacketConn) {
				c, err := u.(*net.UDPConn).SyscallConn()
				if err == nil {
					c.Control(func(fd uintptr) { pickSecond(int(fd)) })
				}
				ready <- err
			})
		}()
	}
	for range 4 {
		select {
		case err := <-ended:
			return "", err
		case <-ready:
		}
	}
	return "", nil
}

// pickSecond makes the kernel always pick the second of the sockets that share the port. The
// ambassador's is the first or the last.
func pickSecond(fd int) {
	const ret = 0x06
	filter := []unix.SockFilter{{Code: ret, K: 1}}
	unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: 1, Filter: &filter[0]})
}
