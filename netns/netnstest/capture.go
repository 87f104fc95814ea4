package netnstest

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Frame is one frame seen on a link.
type Frame struct {
	Sent     bool           // by this end; otherwise by the other
	Ether    uint16         // unix.ETH_P_IP, ...
	Protocol uint8          // of the packet; 0 if it is neither IPv4 nor IPv6
	Src, Dst netip.AddrPort // the port is 0 unless the protocol is TCP or UDP
	Bytes    []byte
}

// A Capture records every frame of a link, both ways, on an AF_PACKET socket. The rules under test
// do not affect it.
type Capture struct {
	t      testing.TB
	mu     sync.Mutex
	frames []Frame
	more   chan struct{} // closed and replaced with each frame
}

// NewCapture starts to capture on a link in a namespace. A nil namespace means the test's own. It
// ends with the test.
func NewCapture(t testing.TB, ns *os.File, link string) *Capture {
	t.Helper()
	var fd int
	In(t, ns, func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		iface, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: iface.Index})
	})
	c := &Capture{t: t, more: make(chan struct{})}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.read(fd, stop)
	}()
	t.Cleanup(func() {
		_, _ = unix.Write(stop, binary.NativeEndian.AppendUint64(nil, 1))
		<-done
		unix.Close(fd)
		unix.Close(stop)
	})
	return c
}

func (c *Capture) read(fd, stop int) {
	buf := make([]byte, 65536)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return
		}
		for {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				break
			}
			ll, ok := from.(*unix.SockaddrLinklayer)
			c.add(parse(append([]byte(nil), buf[:n]...), ok && ll.Pkttype == unix.PACKET_OUTGOING))
		}
		if fds[1].Revents != 0 {
			return
		}
	}
}

func (c *Capture) add(f Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, f)
	close(c.more)
	c.more = make(chan struct{})
}

// Frames returns the matching frames so far, without those still on their way; see [Capture.Wait].
func (c *Capture) Frames(match func(Frame) bool) []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Frame
	for _, f := range c.frames {
		if match(f) {
			out = append(out, f)
		}
	}
	return out
}

// Wait waits until a frame matches. A link keeps the order of frames: when a frame sent on purpose
// has arrived, all earlier ones have as well.
func (c *Capture) Wait(match func(Frame) bool) Frame {
	c.t.Helper()
	deadline := time.After(time.Minute)
	for {
		c.mu.Lock()
		more := c.more
		c.mu.Unlock()
		if got := c.Frames(match); len(got) > 0 {
			return got[0]
		}
		select {
		case <-more:
		case <-deadline:
			c.t.Fatal("no such frame came within a minute")
		}
	}
}

// Forget drops the frames recorded so far.
func (c *Capture) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = nil
}

func parse(b []byte, sent bool) Frame {
	f := Frame{Sent: sent, Bytes: b}
	if len(b) < 14 {
		return f
	}
	f.Ether = binary.BigEndian.Uint16(b[12:])
	p := b[14:]
	var src, dst netip.Addr
	var l4 []byte
	switch {
	case f.Ether == unix.ETH_P_IP && len(p) >= 20:
		src, dst = netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:]))
		f.Protocol, l4 = p[9], p[min(len(p), int(p[0]&15)*4):]
	case f.Ether == unix.ETH_P_IPV6 && len(p) >= 40:
		src, dst = netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:]))
		f.Protocol, l4 = p[6], p[40:]
	default:
		return f
	}
	var sport, dport uint16
	if (f.Protocol == unix.IPPROTO_TCP || f.Protocol == unix.IPPROTO_UDP) && len(l4) >= 4 {
		sport, dport = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
	}
	f.Src, f.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return f
}
