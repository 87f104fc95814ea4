package integration

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// doors has two published ports. On 7444 the ambassador listens; 7443 it leaves alone, and a member takes it. A second member
// listens on a port of its own.
const doors = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "listen", "9000"]
  }
  sidecar "squatter" {
    image   = "%[1]s"
    command = ["/attack", "listen", "7443"]
  }
  sidecar "asked" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7001"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "listen", "7444"]
    publish "squatted" {
      host = 8443
      port = 7443
    }
    publish "squatted-udp" {
      host     = 8443
      port     = 7443
      protocol = "udp"
    }
    publish "held" {
      host = 8444
      port = 7444
    }
    publish "held-udp" {
      host     = 8444
      port     = 7444
      protocol = "udp"
    }
  }
}
`

const inboundTitle = "5. To be reached from outside"

// A knock is one attempt from outside.
type knock struct {
	at       string // what stands at the port
	who      string
	from     netns.NsHandle
	proto    string
	addr     string
	port     int
	expected string
}

// TestPromiseInbound is class 5's first half: it tries to reach members from the world and from the host, by the host's
// addresses and by the group's own. Then once more by the group's own with the host's table gone, when only the group's rules
// stand. The control is the ambassador's port beside theirs.
func TestPromiseInbound(t *testing.T) {
	m := newMachine(t, "")
	m.apply("g.hcl", fmt.Sprintf(doors, attackImage))
	s, seen := newSection(t, inboundTitle), newCapture(t, m.host)
	own := m.status("g").Addrs
	var knocks, bare []knock
	for _, from := range []knock{{who: "the world", from: m.world}, {who: "the host", from: m.host}} {
		for _, proto := range []string{"tcp", "udp"} {
			add := func(to *[]knock, at, addr string, port int, expected string) {
				*to = append(*to, knock{at, from.who, from.from, proto, addr, port, expected})
			}
			for _, addr := range []string{host4, host6} {
				add(&knocks, "the ambassador, published", addr, 8444, answered)
				add(&knocks, "a member, on a published port", addr, 8443, silent)
			}
			for _, addr := range own {
				add(&knocks, "a member, by the group's address", addr, 9000, silent)
				add(&knocks, "a member, on a published port by the group's address", addr, 7443, silent)
				add(&knocks, "the ambassador, by the group's address", addr, 7444, silent)
				add(&bare, "the ambassador, by the group's address, without the host's table", addr, 7444, answered)
				add(&bare, "a member, by the group's address, without the host's table", addr, 9000, silent)
				add(&bare, "a member, on a published port by the group's address, without the host's table", addr, 7443, silent)
			}
		}
	}
	knocks = append(knocks,
		knock{"the ambassador, published, at 127.0.0.1", "the host", m.host, "tcp", "127.0.0.1", 8444, answered},
		knock{"a member, on a published port, at 127.0.0.1", "the host", m.host, "tcp", "127.0.0.1", 8443, silent})
	m.knock(s, seen, knocks, func() {})
	defer m.freeze()()
	m.knock(s, seen, bare, func() { dropTables(t, m.host) })
}

// knock tries all of them at once, again and again until those who are to be reached are, and no longer: prepare comes before
// each round. Whoever may not answer may not in any round.
func (m *machine) knock(s *section, seen *capture, knocks []knock, prepare func()) {
	m.t.Helper()
	got := make([]string, len(knocks))
	opened := map[int]bool{}
	eventually(m.t, 10*time.Second, "the ambassador answers", func() error {
		prepare()
		var wait sync.WaitGroup
		for i, k := range knocks {
			wait.Go(func() {
				if got[i] = silent; reached(m.t, k.from, k.proto, k.addr, k.port) {
					got[i] = answered
				}
			})
		}
		wait.Wait()
		for i, k := range knocks {
			if got[i] == answered {
				opened[i] = true
			}
			if k.expected == answered && got[i] != answered {
				return fmt.Errorf("%s over %s doesn't answer %s at %s", k.at, k.proto, k.who, k.addr)
			}
		}
		return nil
	})
	for i, k := range knocks {
		r := row{technique: k.proto + " to " + k.at, family: family(k.addr), who: k.who, expected: k.expected, seen: got[i]}
		if k.expected == silent {
			r.control = "the ambassador beside it"
			if opened[i] {
				r.seen = answered
			}
		}
		s.add(r)
	}
	if out := seen.take(m.t, func(f frame) bool { return f.sourcePort() == 9000 || f.sourcePort() == 7443 }); len(out) > 0 {
		m.t.Errorf("something of a member's ports came out: %v", out)
	}
}

// mustReach is the control: the ambassador's own port.
func (m *machine) mustReach(from netns.NsHandle, name, proto, addr string, port int) {
	m.t.Helper()
	eventually(m.t, 3*time.Second, "the ambassador answers", func() error {
		if !reached(m.t, from, proto, addr, port) {
			return fmt.Errorf("not reached from %s at %s %s", name, proto, net.JoinHostPort(addr, fmt.Sprint(port)))
		}
		return nil
	})
}

func (m *machine) mustNotReach(from netns.NsHandle, name, proto, addr string, ports ...int) {
	m.t.Helper()
	for _, port := range ports {
		if reached(m.t, from, proto, addr, port) {
			m.t.Errorf("reached from %s at %s %s", name, proto, net.JoinHostPort(addr, fmt.Sprint(port)))
		}
	}
}

// reached sends to an address and says whether the echo came back.
func reached(t testing.TB, from netns.NsHandle, proto, addr string, port int) bool {
	t.Helper()
	var c net.Conn
	err := inNetns(from, func() (err error) {
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
