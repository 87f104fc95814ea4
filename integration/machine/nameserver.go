package machine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// NameServer4 and NameServer6 are the addresses at which [Network.ServeNames] answers.
const NameServer4, NameServer6 = "198.51.100.53", "2001:db8:51::53"

// A NameServer answers questions for names over UDP and TCP, and remembers them.
type NameServer struct {
	records map[string]netip.Addr
	mu      sync.Mutex
	asked   []string // "udp payments.example.com"
}

// ServeNames answers on port 53 of NameServer4 and NameServer6 until the test ends. A name that is
// not among the records does not exist.
func (s *Network) ServeNames(t testing.TB, records map[string]netip.Addr) *NameServer {
	t.Helper()
	n := &NameServer{records: records}
	MustInNetns(t, s.Remote, func() error { return OwnAddress(NameServer6 + "/128") })
	for _, addr := range []string{NameServer4, NameServer6} {
		addr = net.JoinHostPort(addr, "53")
		var u net.PacketConn
		var l net.Listener
		MustInNetns(t, s.Remote, func() (err error) {
			if u, err = net.ListenPacket("udp", addr); err != nil {
				return err
			}
			l, err = net.Listen("tcp", addr)
			return err
		})
		t.Cleanup(func() { u.Close(); l.Close() })
		go n.servePackets(u)
		go n.serveStreams(l)
	}
	return n
}

func (n *NameServer) servePackets(u net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		size, from, err := u.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer, err := n.answer("udp", buf[:size]); err == nil {
			u.WriteTo(answer, from)
		}
	}
}

func (n *NameServer) serveStreams(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for size := make([]byte, 2); ; {
				if _, err := io.ReadFull(c, size); err != nil {
					return
				}
				question := make([]byte, int(size[0])<<8|int(size[1]))
				if _, err := io.ReadFull(c, question); err != nil {
					return
				}
				answer, err := n.answer("tcp", question)
				if err != nil {
					return
				}
				c.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...))
			}
		}()
	}
}

func (n *NameServer) answer(network string, question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, errors.New("not one question")
	}
	q := m.Questions[0]
	name := q.Name.String()
	name = name[:len(name)-1]
	n.mu.Lock()
	n.asked = append(n.asked, network+" "+name)
	n.mu.Unlock()

	m = dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}, Questions: m.Questions}
	addr, known := n.records[name]
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
	switch {
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA && addr.Is4():
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && addr.Is6():
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}}
	}
	return m.Pack()
}

// Asked returns nil if the server was asked this question, such as "udp payments.example.com".
func (n *NameServer) Asked(asked string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Contains(n.asked, asked) {
		return fmt.Errorf("it was asked %q, not %q", n.asked, asked)
	}
	return nil
}
