package integration

import (
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

// A capture sees every frame that comes out of any group on a host: it listens on all the host's links and keeps what
// arrived on a sp- link. It is the judge: what it didn't see did not get out.
type capture struct {
	fd    int
	note  func(frame) // what becomes of a frame that came in; called by one goroutine
	mu    sync.Mutex
	out   []frame
	links map[int]bool
	ns    netns.NsHandle
	ended chan struct{}
}

// A frame is one packet without its Ethernet header.
type frame struct {
	link  int
	proto uint16 // EtherType
	data  []byte
}

func newCapture(t testing.TB, ns netns.NsHandle) *capture {
	t.Helper()
	c := &capture{ns: ns, links: map[int]bool{}, ended: make(chan struct{})}
	c.note = func(f frame) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.out = append(c.out, f)
	}
	c.start(t)
	return c
}

// start listens until the test ends. A frame that there was no room for would be one that nobody judged, so that fails it.
func (c *capture) start(t testing.TB) {
	t.Helper()
	within(t, c.ns, func() (err error) {
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

func (c *capture) run(stop chan struct{}) {
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
		c.note(frame{ll.Ifindex, swap16(ll.Protocol), append([]byte(nil), buf[:min(n, 128)]...)})
	}
}

// take returns, and forgets, the frames that left a group and that keep accepts. It waits a moment for the last ones.
func (c *capture) take(t testing.TB, keep func(frame) bool) []frame {
	t.Helper()
	time.Sleep(60 * time.Millisecond) // what the kernel has queued for the socket
	var links []net.Interface
	within(t, c.ns, func() (err error) { links, err = net.Interfaces(); return err })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range links {
		if !strings.HasPrefix(l.Name, "sp-") {
			c.links[l.Index] = false
			continue
		}
		c.links[l.Index] = true
	}
	var kept []frame
	for _, f := range c.out {
		// A link that is gone by now was a group's: lo and the uplink stay.
		if ours, known := c.links[f.link]; (ours || !known) && keep(f) {
			kept = append(kept, f)
		}
	}
	c.out = nil
	return kept
}

// anyFrame keeps whatever a process could have caused: all but neighbour discovery, which the kernel does for the link; what
// asks for a victim is a process's.
func anyFrame(f frame) bool {
	if f.discovery() || f.proto == unix.ETH_P_ARP {
		asked := f.asked()
		return asked.Equal(net.ParseIP(victimLink)) || asked.Equal(net.ParseIP(victim4)) || asked.Equal(net.ParseIP(victim6))
	}
	return true
}

// asked is the address that a frame of neighbour discovery is about.
func (f frame) asked() net.IP {
	switch {
	case f.proto == unix.ETH_P_ARP && len(f.data) >= 28:
		return net.IP(f.data[24:28])
	case f.proto == unix.ETH_P_IPV6 && len(f.data) >= 64:
		return net.IP(f.data[48:64])
	}
	return nil
}

// to keeps packets to an address.
func to(addr string) func(frame) bool {
	ip := net.ParseIP(addr)
	return func(f frame) bool { return f.dst().Equal(ip) }
}

func (f frame) dst() net.IP {
	switch {
	case f.proto == unix.ETH_P_IP && len(f.data) >= 20:
		return net.IP(f.data[16:20])
	case f.proto == unix.ETH_P_IPV6 && len(f.data) >= 40:
		return net.IP(f.data[24:40])
	}
	return nil
}

// discovery: ICMPv6 router and neighbour messages, 133 to 136, with hop limit 255.
func (f frame) discovery() bool {
	return f.proto == unix.ETH_P_IPV6 && len(f.data) > 40 && f.data[6] == unix.IPPROTO_ICMPV6 && f.data[7] == 255 && f.data[40] >= 133 && f.data[40] <= 136
}

func (f frame) String() string {
	return fmt.Sprintf("%#04x to %v: %s", f.proto, f.dst(), hex.EncodeToString(f.data[:min(len(f.data), 60)]))
}

func swap16[T uint16 | int](v T) uint16 { return uint16(v)<<8 | uint16(v)>>8 }

// protocol is the packet's, 0 where it is neither IPv4 nor IPv6.
func (f frame) protocol() byte {
	switch {
	case f.proto == unix.ETH_P_IP && len(f.data) >= 20:
		return f.data[9]
	case f.proto == unix.ETH_P_IPV6 && len(f.data) >= 40:
		return f.data[6]
	}
	return 0
}

// sourcePort of TCP and UDP.
func (f frame) sourcePort() int {
	at := 20
	if f.proto == unix.ETH_P_IPV6 {
		at = 40
	}
	if p := f.protocol(); p != unix.IPPROTO_TCP && p != unix.IPPROTO_UDP || len(f.data) < at+2 {
		return 0
	}
	return int(f.data[at])<<8 | int(f.data[at+1])
}
