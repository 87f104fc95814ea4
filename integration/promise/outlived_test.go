package promise

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

const outlivedTitle = "5. To go on when what allowed it is gone"

// changing is a group whose ambassador listens on a published port and on one that is not. The last
// publish block, if there is one, may go. Its number is the same on the host: connection tracking
// picks a TCP connection up in the middle, and would not have to rewrite what it sends.
const changing = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "listen", "9000"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "/attack listen 7555 ambassador & exec /attack listen 7444 ambassador"]
    stop    { signal = "SIGKILL" }
    %[2]s
  }
}
`

const (
	keptPort    = 8444
	closingPort = 7444 // of the host and of the ambassador
	privatePort = 7555 // of the ambassador, never published
)

func changingGroup(ports ...int) string {
	var blocks []string
	for _, port := range ports {
		for _, proto := range []string{"tcp", "udp"} {
			blocks = append(blocks, fmt.Sprintf(`publish "%s-%d" {
      host     = %[2]d
      port     = 7444
      protocol = "%[1]s"
    }`, proto, port))
		}
	}
	return fmt.Sprintf(changing, machine.AttackImage, strings.Join(blocks, "\n    "))
}

// A call is a flow from outside to a port of the host.
type call struct {
	net.Conn
	proto, addr string
	port        int
}

// answers says another word on the flow, and reports whether it comes back. A connection that is
// gone is no answer.
func (c call) answers(within time.Duration) bool {
	word := fmt.Sprintf("<%d>", time.Now().UnixNano())
	return machine.Retry(within, func() error {
		if _, err := c.Write([]byte(word)); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(silence))
		buf := make([]byte, 2048)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return err
			}
			if strings.Contains(string(buf[:n]), word) {
				return nil
			}
		}
	}) == nil
}

func openCalls(m *machine.Machine, ports ...int) (calls []call) {
	m.T.Helper()
	for _, addr := range []string{machine.Host4, machine.Host6} {
		for _, proto := range []string{"tcp", "udp"} {
			for _, port := range ports {
				c := call{proto: proto, addr: addr, port: port}
				machine.Eventually(m.T, time.Minute, fmt.Sprintf("the ambassador answers %s at %s port %d", proto, addr, port), func() (err error) {
					if c.Conn, err = dialFrom(m, proto, addr, port, 0, silence); err == nil {
						_, err = whoSpeaks(c, silence)
					}
					return err
				})
				m.T.Cleanup(func() { c.Close() })
				calls = append(calls, c)
			}
		}
	}
	return calls
}

// TestPromiseOutlived keeps flows open over changes of what allows them, from the remote host.
func TestPromiseOutlived(t *testing.T) {
	m, s := machine.New(t, ""), newSection(t, outlivedTitle)
	m.Apply("g.hcl", changingGroup(keptPort, closingPort))
	add := func(c call, what, control string, goesOn bool) {
		r := row{technique: c.proto + what, family: family(c.addr), who: "a caller outside", expected: silent, seen: silent, control: control}
		within := time.Second
		if goesOn {
			r.expected, within = answered, time.Minute
		}
		if c.answers(within) {
			r.seen = answered
		}
		s.add(r, c.port)
	}
	calls := openCalls(m, keptPort, closingPort)
	m.Apply("g.hcl", changingGroup(keptPort))
	for _, c := range calls {
		if c.port == closingPort {
			add(c, " on a flow to a port that is not published any more", "the port beside it", false)
		} else {
			add(c, " on a flow to the port beside it, which still is", "", true)
		}
	}

	m.Apply("g.hcl", changingGroup(keptPort, closingPort))
	calls, before := openCalls(m, closingPort), m.Status("g").Addrs
	m.Run("rm", "g")
	m.Apply("g.hcl", changingGroup(keptPort))
	if now := m.Status("g").Addrs; fmt.Sprint(now) != fmt.Sprint(before) {
		t.Fatalf("the next group has addresses %v, not %v: this proves nothing", now, before)
	}
	openCalls(m, keptPort) // the next group answers
	for _, c := range calls {
		add(c, " on a flow to the last group of the name", "the next group publishes the port", false)
	}
	calls = openCalls(m, keptPort)
	m.Run("rm", "g")
	m.Apply("g.hcl", changingGroup(keptPort))
	openCalls(m, keptPort)
	for _, c := range calls {
		if c.proto == "udp" && !c.answers(time.Minute) {
			t.Errorf("control: %s port %d: a caller who says another word is not answered by the next group", c.addr, c.port)
		}
	}
	tryPrivatePort(m, s)
}

// tryPrivatePort sends datagrams from the host itself to a port of the ambassador that is not
// published, and to one that is. The host's own rules are gone, so that the namespace's are alone.
func tryPrivatePort(m *machine.Machine, s *section) {
	m.T.Helper()
	ns, addrs := m.Netns("g"), m.Status("g").Addrs
	defer m.Freeze()()
	machine.DropTables(m.T, m.Host)
	reached := func(addr string, port int, limit time.Duration) bool {
		err := machine.Retry(limit, func() error {
			var c net.Conn
			err := machine.InNetns(m.Host, func() (err error) {
				c, err = net.Dial("udp", net.JoinHostPort(addr, fmt.Sprint(port)))
				return err
			})
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := c.Write([]byte("hello")); err != nil {
				return err
			}
			_, err = whoSpeaks(c, silence)
			return err
		})
		return err == nil
	}
	for _, addr := range addrs {
		if !reached(addr, closingPort, time.Minute) {
			m.T.Errorf("control: the published port is not reached at %s", addr)
		}
		r := row{technique: "udp to a port of the ambassador that is not published", family: family(addr), who: "the host, without its rules", expected: silent, seen: silent, control: "the same without rules"}
		if reached(addr, privatePort, time.Second) {
			r.seen = answered
		}
		s.add(r)
	}
	machine.DropTables(m.T, ns)
	for _, addr := range addrs {
		if !reached(addr, privatePort, time.Minute) {
			m.T.Errorf("control: the port is not reached at %s without rules either, so its row proves nothing", addr)
		}
	}
}
