package machine

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Capture sees every frame that comes out of any group on a host. It listens on all links of the
// host, and keeps the frames that arrived on an sp- link. It is the judge: what it didn't see did
// not get out.
type Capture struct {
	fd    int
	note  func(Frame) // gets each frame that came in; called by one goroutine
	mu    sync.Mutex
	out   []Frame
	links map[int]bool
	ns    netns.NsHandle
	ended chan struct{}

	mark   []byte        // in a frame that shows how far run has come
	marked chan struct{} // closed by run when it has seen mark
}

// A Frame is one packet without its Ethernet header.
type Frame struct {
	link  int
	proto uint16 // EtherType
	Data  []byte
}

// NewCapture listens on a host until the test ends.
func NewCapture(t testing.TB, ns netns.NsHandle) *Capture {
	t.Helper()
	c := &Capture{ns: ns, links: map[int]bool{}, ended: make(chan struct{})}
	c.note = func(f Frame) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.out = append(c.out, f)
	}
	c.start(t)
	return c
}

// start listens until the test ends. If the socket's buffer was too small for a frame, that frame
// was not judged, and the test fails.
func (c *Capture) start(t testing.TB) {
	t.Helper()
	MustInNetns(t, c.ns, func() (err error) {
		c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(swap16(unix.ETH_P_ALL)))
		return err
	})
	tv := unix.NsecToTimeval(int64(50 * time.Millisecond))
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	go c.run(stop)
	t.Cleanup(func() {
		close(stop)
		<-c.ended
		if s, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err != nil || s.Drops > 0 {
			t.Errorf("the capture missed %d frames (%v)", s.Drops, err)
		}
		unix.Close(c.fd)
	})
}

func (c *Capture) run(stop chan struct{}) {
	defer close(c.ended)
	buf := make([]byte, 65536)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, from, err := unix.Recvfrom(c.fd, buf, 0)
		if err != nil {
			continue // the timeout, or a link that went down
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if c.isMark(buf[:n]) {
			continue
		}
		c.note(Frame{ll.Ifindex, swap16(ll.Protocol), append([]byte(nil), buf[:min(n, 128)]...)})
	}
}

// isMark reports whether a frame is the one that catchUp waits for.
func (c *Capture) isMark(frame []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.marked == nil || !bytes.Contains(frame, c.mark) {
		return false
	}
	close(c.marked)
	c.marked = nil
	return true
}

// catchUp returns when every frame that the socket has now was noted: it sends one more over the
// host's loopback, and waits for that.
func (c *Capture) catchUp(t testing.TB) {
	t.Helper()
	marked := make(chan struct{})
	c.mu.Lock()
	c.mark, c.marked = fmt.Appendf(nil, "mark %d of a capture", time.Now().UnixNano()), marked
	c.mu.Unlock()
	MustInNetns(t, c.ns, func() error {
		u, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			return err
		}
		defer u.Close()
		_, err = u.Write(c.mark)
		return err
	})
	select {
	case <-marked:
	case <-time.After(time.Minute):
		t.Fatal("the capture has not caught up within a minute")
	}
}

// Take returns and forgets the frames that left a group and that keep accepts. It waits a moment
// for the last ones.
func (c *Capture) Take(t testing.TB, keep func(Frame) bool) []Frame {
	t.Helper()
	time.Sleep(60 * time.Millisecond) // for frames on their way to the socket
	c.catchUp(t)
	var links []net.Interface
	MustInNetns(t, c.ns, func() (err error) { links, err = net.Interfaces(); return err })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range links {
		if !strings.HasPrefix(l.Name, "sp-") {
			c.links[l.Index] = false
			continue
		}
		c.links[l.Index] = true
	}
	var kept []Frame
	for _, f := range c.out {
		// A link that is gone by now belonged to a group: lo and the uplink stay.
		if ours, known := c.links[f.link]; (ours || !known) && keep(f) {
			kept = append(kept, f)
		}
	}
	c.out = nil
	return kept
}

// AnyFrame accepts every frame that a process could have caused. Those are all but neighbour
// discovery, which the kernel does for the link. A question for a victim's address was caused by a
// process.
func AnyFrame(f Frame) bool {
	if f.discovery() || f.proto == unix.ETH_P_ARP {
		asked := f.asked()
		return asked.Equal(net.ParseIP(VictimLink)) || asked.Equal(net.ParseIP(Victim4)) || asked.Equal(net.ParseIP(Victim6))
	}
	return true
}

// asked returns the address that a frame of neighbour discovery asks for.
func (f Frame) asked() net.IP {
	switch {
	case f.proto == unix.ETH_P_ARP && len(f.Data) >= 28:
		return net.IP(f.Data[24:28])
	case f.proto == unix.ETH_P_IPV6 && len(f.Data) >= 64:
		return net.IP(f.Data[48:64])
	}
	return nil
}

// To accepts packets to an address.
func To(addr string) func(Frame) bool {
	ip := net.ParseIP(addr)
	return func(f Frame) bool { return f.Dst().Equal(ip) }
}

// Dst returns the destination address, nil if the packet is not IP.
func (f Frame) Dst() net.IP {
	switch {
	case f.proto == unix.ETH_P_IP && len(f.Data) >= 20:
		return net.IP(f.Data[16:20])
	case f.proto == unix.ETH_P_IPV6 && len(f.Data) >= 40:
		return net.IP(f.Data[24:40])
	}
	return nil
}

// discovery reports whether f is an ICMPv6 router or neighbour message, 133 to 136, with hop limit
// 255.
func (f Frame) discovery() bool {
	return f.proto == unix.ETH_P_IPV6 && len(f.Data) > 40 && f.Data[6] == unix.IPPROTO_ICMPV6 && f.Data[7] == 255 && f.Data[40] >= 133 && f.Data[40] <= 136
}

func (f Frame) String() string {
	return fmt.Sprintf("%#04x to %v: %s", f.proto, f.Dst(), hex.EncodeToString(f.Data[:min(len(f.Data), 60)]))
}

func swap16[T uint16 | int](v T) uint16 { return uint16(v)<<8 | uint16(v)>>8 }

// Protocol returns the number of the packet's protocol. It is 0 if the packet is neither IPv4 nor
// IPv6.
func (f Frame) Protocol() byte {
	switch {
	case f.proto == unix.ETH_P_IP && len(f.Data) >= 20:
		return f.Data[9]
	case f.proto == unix.ETH_P_IPV6 && len(f.Data) >= 40:
		return f.Data[6]
	}
	return 0
}

// SourcePort returns the source port of TCP and UDP, and 0 for other protocols.
func (f Frame) SourcePort() int {
	at := 20
	if f.proto == unix.ETH_P_IPV6 {
		at = 40
	}
	if p := f.Protocol(); p != unix.IPPROTO_TCP && p != unix.IPPROTO_UDP || len(f.Data) < at+2 {
		return 0
	}
	return int(f.Data[at])<<8 | int(f.Data[at+1])
}
