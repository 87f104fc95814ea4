package helper_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/helper"
	"github.com/sallyport/sallyport/netns/netnstest"
)

func TestMain(m *testing.M) { os.Exit(netnstest.Main(m)) }

const patience = 20 * time.Second

func TestRootHelperTalks(t *testing.T) {
	netnstest.Root(t)
	ns := netnstest.NewNamespace(t)
	p := netnstest.NewHelper(t, ns, "")
	for _, at := range []string{"127.0.0.1:80", "[::1]:80"} {
		addr := netip.MustParseAddrPort(at)
		l, err := p.TCP(addr.Addr())
		if err := errors.Join(err, l.Bind(addr), l.Listen()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Accept(0); !errors.Is(err, unix.ETIMEDOUT) {
			t.Errorf("accept without a caller: %v", err)
		}
		c, err := p.TCP(addr.Addr())
		if err := errors.Join(err, c.Connect(addr, patience), c.Send("word")); err != nil {
			t.Fatal(err)
		}
		a, err := l.Accept(patience)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := a.Receive(patience); got != "word" || err != nil {
			t.Errorf("received %q, %v", got, err)
		}
		if local, err := c.Local(); err != nil || local.Addr() != addr.Addr() || local.Port() == 0 {
			t.Errorf("own address %v, %v", local, err)
		}
		if err := errors.Join(c.Close(), a.Close(), l.Close()); err != nil {
			t.Error(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// Errors have the numbers of the system calls.
func TestRootHelperErrors(t *testing.T) {
	netnstest.Root(t)
	p := netnstest.NewHelper(t, netnstest.NewNamespace(t), "")
	if _, err := p.Socket(unix.AF_INET, unix.SOCK_STREAM, 254); !errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Errorf("an unknown protocol: %v", err)
	}
	c, err := p.TCP(netip.IPv4Unspecified())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(netip.MustParseAddrPort("127.0.0.1:1"), patience); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a port without a listener: %v", err)
	}
	if c, err = p.TCP(netip.IPv4Unspecified()); err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(netip.MustParseAddrPort("192.0.2.1:1"), patience); !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("an address without a route: %v", err)
	}
	if err := c.SetString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "none"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("an absent device: %v", err)
	}
	p.Kill()
	if _, err := p.TCP(netip.IPv4Unspecified()); err == nil {
		t.Error("a dead helper answered")
	}
}

// Start of a program that does not call Main fails with that reason and does not hang.
func TestStartWithoutMain(t *testing.T) {
	if _, err := exec.LookPath("/bin/true"); err != nil {
		t.Skip("no /bin/true")
	}
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	_, err = helper.Start(context.Background(), helper.Config{NetNS: ns, Program: "/bin/true"})
	if err == nil || !strings.Contains(err.Error(), "does main call helper.Main?") {
		t.Errorf("Start = %v", err)
	}
}
