package main

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Ports of the flows that members try to take over.
const (
	flowPort = 40000 // the ambassador's own, to the world
	doorPort = 7444  // published
)

// takeovers speak on flows of the ambassador's, class 5.
var takeovers = map[string]deed{
	"steal-tcp":  connect(unix.SOCK_STREAM, 0, shareAndListen(flowPort)),
	"steal-udp":  connect(unix.SOCK_DGRAM, 0, bindPort(flowPort)),
	"answer-tcp": connect(unix.SOCK_STREAM, 0, shareAndListen(doorPort)),
	"answer-udp": connect(unix.SOCK_DGRAM, 0, bindPort(doorPort)),
}

// shareAndListen listens on the port too, beside the socket that then connects from it.
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

// share lets others have the same port.
var share = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
	c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	return err
}}

// steady keeps a TCP and a UDP flow to the world, from a port that it shares; it says a word on both, over and over.
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

// squat listens on a port beside the ambassador, has the kernel give it every caller where it is asked, and tells them its
// name. It goes on when the ambassador comes or leaves.
func squat(port int, name string) error {
	shareAlways := share
	shareAlways.Control = func(network, address string, c syscall.RawConn) error {
		if err := share.Control(network, address, c); err != nil {
			return err
		}
		c.Control(func(fd uintptr) { pickSecond(int(fd)) })
		return nil
	}
	return listen(shareAlways, port, name)
}

// pickSecond loads "return 1" as what picks among those who share the port: the second to come. The first is refused it, as
// are TCP sockets that don't listen yet.
func pickSecond(fd int) {
	const ret = 0x06
	filter := []unix.SockFilter{{Code: ret, K: 1}}
	unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: 1, Filter: &filter[0]})
}
