package netnstest

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/helper"
)

// A Helper is a helper process that makes the calls of tests too; see helper_calls.go.
type Helper struct{ *helper.Process }

// NewHelper starts a helper in a namespace and a cgroup. A nil namespace and an empty cgroup path
// mean the test's own. It ends with the test.
func NewHelper(t testing.TB, ns *os.File, path string) *Helper {
	t.Helper()
	c := helper.Config{NetNS: ns}
	if ns == nil {
		own, err := os.Open("/proc/thread-self/ns/net") // the main thread, which /proc/self shows, may be in another
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		c.NetNS = own
	}
	if path != "" {
		h, err := cgroup.FindHierarchies()
		if err != nil {
			t.Fatal(err)
		}
		dir, err := os.Open(filepath.Join(h.V2, path))
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		c.Cgroup = dir
	}
	p, err := helper.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &Helper{p}
}

// A Socket is a socket of a [Helper].
type Socket struct {
	*helper.Socket
	helper *Helper
}

// Socket makes a socket: unix.AF_INET, unix.SOCK_STREAM, 0.
func (h *Helper) Socket(domain, kind, protocol int) (*Socket, error) {
	s, err := h.Process.Socket(domain, kind, protocol)
	return &Socket{s, h}, err
}

// TCP makes a TCP socket of the address's family.
func (h *Helper) TCP(like netip.Addr) (*Socket, error) {
	s, err := h.Process.TCP(like)
	return &Socket{s, h}, err
}

// UDP makes a UDP socket of the address's family.
func (h *Helper) UDP(like netip.Addr) (*Socket, error) {
	s, err := h.Process.UDP(like)
	return &Socket{s, h}, err
}

// Accept waits for a connection. None within the timeout is unix.ETIMEDOUT.
func (s *Socket) Accept(timeout time.Duration) (*Socket, error) {
	r, err := s.Call(helper.Request{Name: callAccept, Timeout: timeout})
	return &Socket{s.helper.SocketAt(r.Socket), s.helper}, err
}

// Send writes to a connected socket.
func (s *Socket) Send(data string) error {
	_, err := s.Call(helper.Request{Name: callSend, Data: []byte(data)})
	return err
}

// Receive waits for data. It returns the first data and, if the socket is not connected, its
// sender. No data within the timeout is unix.ETIMEDOUT.
func (s *Socket) Receive(timeout time.Duration) (string, netip.AddrPort, error) {
	r, err := s.Call(helper.Request{Name: callReceive, Timeout: timeout})
	return string(r.Data), r.Addr, err
}

// SetInt sets a socket option that is a number.
func (s *Socket) SetInt(level, option, value int) error {
	_, err := s.Call(helper.Request{Name: callSetInt, Ints: []int{level, option, value}})
	return err
}

// SetString sets a socket option that is a string, such as unix.SO_BINDTODEVICE.
func (s *Socket) SetString(level, option int, value string) error {
	_, err := s.Call(helper.Request{Name: callSetString, Ints: []int{level, option}, Data: []byte(value)})
	return err
}

// PickAlways makes the kernel give every packet for the sockets that share this socket's port to
// one of them: the one that joined at this place, counted from 0.
func (s *Socket) PickAlways(place int) error {
	_, err := s.Call(helper.Request{Name: callPick, Ints: []int{place}})
	return err
}

// Local returns the socket's own address.
func (s *Socket) Local() (netip.AddrPort, error) {
	r, err := s.Call(helper.Request{Name: callLocal})
	return r.Addr, err
}

// LocalUnix returns the name of a unix socket, as [helper.Socket.BindUnix] takes it.
func (s *Socket) LocalUnix() (string, error) {
	r, err := s.Call(helper.Request{Name: callLocalUnix})
	return string(r.Data), err
}

// UnixPair makes two unix sockets that are connected, without names.
func (h *Helper) UnixPair(kind int) (a, b *Socket, err error) {
	r, err := h.Call(helper.Request{Name: callUnixPair, Ints: []int{kind}})
	if err != nil {
		return nil, nil, err
	}
	return &Socket{h.SocketAt(r.Socket), h}, &Socket{h.SocketAt(int(r.Data[0])), h}, nil
}

// OriginalDest returns the destination of an accepted connection before NAT rewrote it:
// SO_ORIGINAL_DST.
func (s *Socket) OriginalDest() (netip.AddrPort, error) {
	r, err := s.Call(helper.Request{Name: callOriginalDest})
	return r.Addr, err
}
