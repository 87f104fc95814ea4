package machine

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// Payments runs the payment service of the checkout example on the remote host, until the test
// ends.
func (m *Machine) Payments() *Output {
	m.T.Helper()
	program := filepath.Join(m.Root, "payments")
	if err := GoBuild(program, "examples/checkout/payments"); err != nil {
		m.T.Fatal(err)
	}
	s := &Output{}
	cmd := exec.Command(program)
	cmd.Stdout, cmd.Stderr = s, s
	if err := StartIn(m.Remote, cmd); err != nil {
		m.T.Fatal(err)
	}
	m.T.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	return s
}

// ServeEcho answers TCP on an address of the current namespace, until the test ends.
func ServeEcho(t testing.TB, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	t.Cleanup(func() { l.Close() })
	go acceptEcho(l)
	return nil
}

// ServeEchoPackets answers UDP on addresses of the current namespace, until the test ends. It
// listens on each one alone, because an answer has to come from the address that was asked.
func ServeEchoPackets(t testing.TB, addrs ...string) error {
	for _, addr := range addrs {
		u, err := net.ListenPacket("udp", addr)
		if err != nil {
			return err
		}
		t.Cleanup(func() { u.Close() })
		go echoPackets(u)
	}
	return nil
}

func echoPackets(u net.PacketConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := u.ReadFrom(buf)
		if err != nil {
			return
		}
		u.WriteTo(buf[:n], from)
	}
}

func acceptEcho(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// OwnAddress adds addresses to the loopback of the current namespace.
func OwnAddress(addrs ...string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, a := range addrs {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		addr.Flags |= nodad
		if err := netlink.AddrAdd(lo, addr); err != nil {
			return err
		}
	}
	return nil
}

// ServeTLS answers HTTPS on an address of the remote host until the test ends. The cipher is one
// that busybox's wget knows.
func (s *Network) ServeTLS(t testing.TB, addr, body string) {
	t.Helper()
	var l net.Listener
	MustInNetns(t, s.Remote, func() (err error) { l, err = net.Listen("tcp", addr); return err })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s of %s\n", body, r.TLS.ServerName)
	}))
	server.Listener.Close()
	server.Listener = l
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}
	server.StartTLS()
	t.Cleanup(server.Close)
}
