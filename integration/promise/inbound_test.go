package promise

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/sallyport/sallyport/integration/machine"
)

// twoPorts has two published ports. The ambassador listens on 7444, and not on 7443, where a member
// listens instead. The member does so before the port is published, because it can't later. A
// second member listens on a port of its own.
const twoPorts = `
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
    %[2]s
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

const squatted = `publish "squatted" {
      host = 8443
      port = 7443
    }
    publish "squatted-udp" {
      host     = 8443
      port     = 7443
      protocol = "udp"
    }`

// applyTwoPorts returns when the squatter listens and its port is published.
func applyTwoPorts(m *machine.Machine) {
	m.T.Helper()
	m.Apply("g.hcl", fmt.Sprintf(twoPorts, machine.AttackImage, ""))
	machine.Eventually(m.T, time.Minute, "the squatter listens", func() error {
		for _, proto := range []string{"tcp", "udp"} {
			if !machine.Reached(m.T, m.Netns("g"), proto, "127.0.0.1", 7443) {
				return fmt.Errorf("not over %s", proto)
			}
		}
		return nil
	})
	m.Apply("g.hcl", fmt.Sprintf(twoPorts, machine.AttackImage, squatted))
}

// atLoopback has a port that is published at 127.0.0.1, and one that is published everywhere.
const atLoopback = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "listen", "9000"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "listen", "7444"]
    publish "here" {
      address = "127.0.0.1"
      host    = 8444
      port    = 7444
    }
    publish "here-udp" {
      address  = "127.0.0.1"
      host     = 8444
      port     = 7444
      protocol = "udp"
    }
    publish "everywhere" {
      host = 8445
      port = 7444
    }
    publish "everywhere-udp" {
      host     = 8445
      port     = 7444
      protocol = "udp"
    }
  }
}
`

const loopbackTitle = "5. By a loopback address of the host"

const inboundTitle = "5. To be reached from outside"

// An inboundTry is one attempt from outside.
type inboundTry struct {
	at       string // who listens on the port
	who      string
	from     netns.NsHandle
	proto    string
	addr     string
	port     int
	expected string
}

// TestPromiseInbound is the first half of class 5. It tries to reach members from the remote host
// and from the host, by the host's addresses and by the group's own. Then it tries the group's own
// addresses without the host's table, when only the group's rules are left. The control is the
// ambassador's port beside theirs.
func TestPromiseInbound(t *testing.T) {
	m := machine.New(t, "")
	applyTwoPorts(m)
	s, seen := newSection(t, inboundTitle), machine.NewCapture(t, m.Host)
	own := m.Status("g").Addrs
	var knocks, bare []inboundTry
	for _, from := range []inboundTry{{who: "the remote host", from: m.Remote}, {who: "the host", from: m.Host}} {
		for _, proto := range []string{"tcp", "udp"} {
			add := func(to *[]inboundTry, at, addr string, port int, expected string) {
				*to = append(*to, inboundTry{at, from.who, from.from, proto, addr, port, expected})
			}
			for _, addr := range []string{machine.Host4, machine.Host6} {
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
		inboundTry{"the ambassador, published, at 127.0.0.1", "the host", m.Host, "tcp", "127.0.0.1", 8444, answered},
		inboundTry{"a member, on a published port, at 127.0.0.1", "the host", m.Host, "tcp", "127.0.0.1", 8443, silent})
	tryInbound(m, s, seen, knocks, func() {})
	defer m.Freeze()()
	tryInbound(m, s, seen, bare, func() { machine.DropTables(t, m.Host) })
}

// TestPromiseLoopback is about ports published at 127.0.0.1 and at all addresses. The remote host
// puts a loopback address of the host on the wire. The controls are the host itself, and the remote
// host by the host's real address.
func TestPromiseLoopback(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("g.hcl", fmt.Sprintf(atLoopback, machine.AttackImage))
	s := newSection(t, loopbackTitle)
	machine.MustInNetns(t, m.Remote, machine.WireLoopback)
	for _, proto := range []string{"tcp", "udp"} {
		for _, c := range []struct {
			what, who string
			reached   func() bool
			expected  string
		}{
			{"127.0.0.1, published there", "the host", func() bool { return machine.Reached(t, m.Host, proto, "127.0.0.1", 8444) }, answered},
			{"127.0.0.1, published at all addresses", "the host", func() bool { return machine.Reached(t, m.Host, proto, "127.0.0.1", 8445) }, answered},
			{"the host, published at all addresses", "the remote host", func() bool { return machine.Reached(t, m.Remote, proto, machine.Host4, 8445) }, answered},
			{"127.0.0.1, published there", "the remote host", func() bool { return machine.ReachedOnWire(t, m.Remote, proto, "127.0.0.1", 8444) }, silent},
			{"127.0.0.1, published at all addresses", "the remote host", func() bool { return machine.ReachedOnWire(t, m.Remote, proto, "127.0.0.1", 8445) }, silent},
			{"the host, published at all addresses, on the wire", "the remote host", func() bool { return machine.ReachedOnWire(t, m.Remote, proto, machine.Host4, 8445) }, answered},
		} {
			r := row{technique: proto + " to " + c.what, family: "v4", who: c.who, expected: c.expected, seen: silent}
			if c.expected == answered {
				machine.Eventually(t, time.Minute, r.technique, func() error {
					if !c.reached() {
						return fmt.Errorf("%s is not answered", c.who)
					}
					return nil
				})
				r.seen = answered
			} else {
				r.control = "the host; the remote host by the host's address"
				if c.reached() {
					r.seen = answered
				}
			}
			s.add(r)
		}
	}
}

// tryInbound makes all attempts at once, and repeats that until all those answer that should. It
// calls prepare before each round. An attempt that must stay without an answer may not get one in
// any round.
func tryInbound(m *machine.Machine, s *section, seen *machine.Capture, knocks []inboundTry, prepare func()) {
	m.T.Helper()
	got := make([]string, len(knocks))
	opened := map[int]bool{}
	machine.Eventually(m.T, time.Minute, "the ambassador answers", func() error {
		prepare()
		var wait sync.WaitGroup
		for i, k := range knocks {
			wait.Go(func() {
				if got[i] = silent; machine.Reached(m.T, k.from, k.proto, k.addr, k.port) {
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
	if out := seen.Take(m.T, func(f machine.Frame) bool { return f.SourcePort() == 9000 || f.SourcePort() == 7443 }); len(out) > 0 {
		m.T.Errorf("something of a member's ports came out: %v", out)
	}
}
