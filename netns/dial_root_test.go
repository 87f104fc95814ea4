package netns_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// pinned makes a pinned namespace that ends with the test.
func pinned(t *testing.T) (path string, ns *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "netns", "g")
	if err := netns.Apply(netns.Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netns.Remove(path) })
	ns, err := netns.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return path, ns
}

// greet listens in a namespace and sends a word to each caller.
func greet(t *testing.T, ns *os.File, addr, word string) {
	t.Helper()
	var l net.Listener
	netnstest.In(t, ns, func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, word)
			c.Close()
		}
	}()
}

func TestRootDialLoopback(t *testing.T) {
	netnstest.Root(t)
	path, ns := pinned(t)
	greet(t, ns, "127.0.0.1:81", "four")
	greet(t, ns, "[::1]:82", "six")
	greet(t, ns, "127.0.0.1:83", "four")
	greet(t, ns, "[::1]:83", "six")
	greet(t, nil, "127.0.0.1:84", "the host")
	for _, tt := range []struct {
		name string
		port uint16
		want string
		err  error
	}{
		{"on 127.0.0.1", 81, "four", nil},
		{"on ::1 alone", 82, "six", nil},
		{"on both", 83, "four", nil},
		{"on the host alone", 84, "", unix.ECONNREFUSED},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := netns.DialLoopback(t.Context(), path, tt.port)
			if !errors.Is(err, tt.err) || errors.Is(err, netns.ErrNoSocket) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			defer conn.Close()
			if got, err := io.ReadAll(conn); err != nil || string(got) != tt.want {
				t.Errorf("received %q, error %v; want %q", got, err, tt.want)
			}
		})
	}
}

// The kernel may give the caller the very port that it calls, if there is no listener. Then the
// socket is connected to itself.
func TestRootDialLoopbackMeetsNotItself(t *testing.T) {
	netnstest.Root(t)
	path, ns := pinned(t)
	netnstest.Sysctl(t, ns, "ipv4/ip_local_port_range", "40000 40000")
	conn, err := netns.DialLoopback(t.Context(), path, 40000)
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("connected to %v, error %v", conn, err)
	}
}

func TestRootDialLoopbackEndsWithItsContext(t *testing.T) {
	netnstest.Root(t)
	path, ns := pinned(t)
	var listener int
	netnstest.In(t, ns, func() (err error) { // a listener that never accepts, with a backlog of one
		listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return errors.Join(unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 81}), unix.Listen(listener, 0))
	})
	defer unix.Close(listener)
	waiting, err := netns.DialLoopback(t.Context(), path, 81)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := netns.DialLoopback(ctx, path, 81); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestRootDialLoopbackWithoutASocket(t *testing.T) {
	netnstest.Root(t)
	path, ns := pinned(t)
	if _, err := netns.DialLoopback(t.Context(), path+"-other", 81); !errors.Is(err, netns.ErrNoSocket) {
		t.Errorf("without a namespace: error %v", err)
	}
	greet(t, ns, "127.0.0.1:81", "four")
	netnstest.Sysctl(t, ns, "ipv4/ip_local_port_range", "40000 40000")
	only, err := netns.DialLoopback(t.Context(), path, 81)
	if err != nil {
		t.Fatal(err)
	}
	defer only.Close()
	if _, err := netns.DialLoopback(t.Context(), path, 81); !errors.Is(err, netns.ErrNoSocket) {
		t.Errorf("without a port to call from: error %v", err)
	}
}
