package machine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// MustReach waits until a port answers. It is the control of MustNotReach.
func (m *Machine) MustReach(from netns.NsHandle, name, proto, addr string, port int) {
	m.T.Helper()
	Eventually(m.T, time.Minute, "the ambassador answers", func() error {
		if !Reached(m.T, from, proto, addr, port) {
			return fmt.Errorf("not reached from %s at %s %s", name, proto, net.JoinHostPort(addr, fmt.Sprint(port)))
		}
		return nil
	})
}

// MustNotReach fails the test if one of the ports answers.
func (m *Machine) MustNotReach(from netns.NsHandle, name, proto, addr string, ports ...int) {
	m.T.Helper()
	for _, port := range ports {
		if Reached(m.T, from, proto, addr, port) {
			m.T.Errorf("reached from %s at %s %s", name, proto, net.JoinHostPort(addr, fmt.Sprint(port)))
		}
	}
}

// Reached sends to an address and reports whether the echo came back.
func Reached(t testing.TB, from netns.NsHandle, proto, addr string, port int) bool {
	t.Helper()
	return reached(from, proto, addr, port, &net.Dialer{})
}

// ReachedOnWire is Reached from the remote host, with every packet out on its link, also those to
// 127.0.0.1. See [WireLoopback].
func ReachedOnWire(t testing.TB, remote netns.NsHandle, proto, addr string, port int) bool {
	t.Helper()
	d := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var bound error
		err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), "up0") })
		return errors.Join(err, bound)
	}}
	own := net.ParseIP("192.0.2.2")
	d.LocalAddr = &net.TCPAddr{IP: own}
	if proto == "udp" {
		d.LocalAddr = &net.UDPAddr{IP: own}
	}
	return reached(remote, proto, addr, port, d)
}

// WireLoopback gives the calling thread's host, the remote one, a way to 127.0.0.1 by its link. It
// accepts what answers from there.
func WireLoopback() error {
	for _, key := range []string{"route_localnet", "accept_local"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/up0/"+key, []byte("1"), 0); err != nil {
			return err
		}
	}
	return AddRoute("127.0.0.1/32", Host4)
}

func reached(from netns.NsHandle, proto, addr string, port int, d *net.Dialer) bool {
	d.Timeout = 300 * time.Millisecond
	var c net.Conn
	err := InNetns(from, func() (err error) {
		c, err = d.Dial(proto, net.JoinHostPort(addr, fmt.Sprint(port)))
		return err
	})
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := c.Write([]byte("ping")); err != nil {
		return false
	}
	buf := make([]byte, 16)
	n, err := c.Read(buf)
	return err == nil && string(buf[:n]) == "ping"
}
