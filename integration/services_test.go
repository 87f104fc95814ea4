package integration

import (
	"bufio"
	"context"
	"io"
	"net"
	"os/exec"
	"testing"

	"github.com/vishvananda/netlink"
)

// serveEcho answers TCP on an address of the namespace it is called in, until the test ends.
func serveEcho(t testing.TB, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	t.Cleanup(func() { l.Close() })
	go acceptEcho(l)
	return nil
}

// serveEchoPackets answers UDP on addresses of the namespace it is called in, until the test ends. Each is one address, for an
// answer has to come from the one that was asked.
func serveEchoPackets(t testing.TB, addrs ...string) error {
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

// ownAddress gives the namespace more addresses, on its loopback.
func ownAddress(addrs ...string) error {
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

// follow runs logs -f and hands out its lines until ctx ends.
func (m *machine) follow(ctx context.Context, target string) <-chan string {
	m.t.Helper()
	cmd := exec.CommandContext(ctx, binary, "--root", m.root, "logs", "-f", target)
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := startIn(m.host, cmd); err != nil {
		m.t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		defer cmd.Wait()
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
			}
		}
	}()
	return lines
}
