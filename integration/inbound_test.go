package integration

import (
	"fmt"
	"net"
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

// TestPromiseInbound tries to reach members from the world and from the host, by the host's addresses and by the group's own:
// class 5. Then once more by the group's own with the host's table gone, when only the group's rules stand.
func TestPromiseInbound(t *testing.T) {
	m := newMachine(t, "")
	m.apply("g.hcl", fmt.Sprintf(doors, attackImage))
	from := map[string]netns.NsHandle{"the world": m.world, "the host": m.host}
	for name, ns := range from {
		for _, proto := range []string{"tcp", "udp"} {
			for _, addr := range []string{host4, host6} {
				m.mustReach(ns, name, proto, addr, 8444)
				m.mustNotReach(ns, name, proto, addr, 8443)
			}
			for _, addr := range m.status("g").Addrs {
				m.mustNotReach(ns, name, proto, addr, 9000, 7443, 7444)
			}
		}
	}
	m.mustReach(m.host, "the host", "tcp", "127.0.0.1", 8444)
	m.mustNotReach(m.host, "the host", "tcp", "127.0.0.1", 8443)

	dropTables(t, m.host)
	for name, ns := range from {
		for _, proto := range []string{"tcp", "udp"} {
			for _, addr := range m.status("g").Addrs {
				m.mustReach(ns, name, proto, addr, 7444)
				m.mustNotReach(ns, name, proto, addr, 9000, 7443)
			}
		}
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

const neighbour = `
group "other" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "listen", "9000"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "listen", "7444"]
    publish "held" {
      host = 8500
      port = 7444
    }
  }
}
`

// TestPromiseHostAndNeighbours: what neither a member nor the ambassador reaches, and what only the ambassador does: class 6.
func TestPromiseHostAndNeighbours(t *testing.T) {
	m := newMachine(t, "")
	m.apply("g.hcl", fmt.Sprintf(attackers, attackImage))
	m.apply("other.hcl", fmt.Sprintf(neighbour, attackImage))
	within(t, m.host, func() error { return serveEcho(t, ":81") })
	within(t, m.world, func() error { return serveEcho(t, world4+":53") })
	ns := m.netns("g")
	type row struct {
		what       string
		to         string
		port       int
		ambassador bool // may
	}
	rows := []row{
		{"the world", world4, worldPort, true},
		{"the world, v6", world6, worldPort, true},
		{"a DNS server", world4, 53, true},
		{"a service of the host", host4, 81, false},
		{"a service of the host, v6", host6, 81, false},
		{"cloud metadata", "169.254.169.254", 80, false},
		{"cloud metadata, v6", "fd00:ec2::254", 80, false},
		{"another group's published port, which no allow names", host4, 8500, false},
	}
	for _, a := range m.status("other").Addrs {
		rows = append(rows, row{"another group's ambassador", a, 7444, false}, row{"another group's app", a, 9000, false})
	}
	// The world answers for the metadata addresses too, so that only the rules keep them shut.
	within(t, m.world, func() error { return ownAddress("169.254.169.254/32", "fd00:ec2::254/128") })
	within(t, m.host, func() error {
		if err := addRoute("169.254.169.254/32", "192.0.2.2"); err != nil {
			return err
		}
		return addRoute("fd00:ec2::254/128", "2001:db8:1::2")
	})
	if !reached(t, m.host, "tcp", "169.254.169.254", 80) {
		t.Fatal("the test's own metadata service doesn't answer the host")
	}
	for _, r := range rows {
		if o := ask(t, ns, 7001, order{"self", "tcp", r.to, r.port}); o.Reply != "" || o.Error == "" {
			t.Errorf("a member reached %s (%s port %d): %+v", r.what, r.to, r.port, o)
		}
		if o := ask(t, ns, 7003, order{"self", "tcp", r.to, r.port}); (o.Reply != "") != r.ambassador {
			t.Errorf("the ambassador and %s (%s port %d): reached %v, want %v: %s", r.what, r.to, r.port, o.Reply != "", r.ambassador, o.Error)
		}
	}
}
