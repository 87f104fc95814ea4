package machine

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// MustReach waits until a port answers. It is the control of MustNotReach.
func (m *Machine) MustReach(from netns.NsHandle, name, proto, addr string, port int) {
	m.T.Helper()
	Eventually(m.T, 3*time.Second, "the ambassador answers", func() error {
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
	var c net.Conn
	err := InNetns(from, func() (err error) {
		c, err = net.DialTimeout(proto, net.JoinHostPort(addr, fmt.Sprint(port)), 300*time.Millisecond)
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
