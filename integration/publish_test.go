package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// publisher has an ambassador that answers on 7444, led to by a port of the host over TCP and UDP.
const publisher = `
group "%[3]s" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "listen", "9000"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "listen", "7444"]
    publish "stream" {
      host = %[2]d
      port = 7444
    }
    publish "datagrams" {
      host     = %[2]d
      port     = 7444
      protocol = "udp"
    }
  }
}
`

// caller has an ambassador that calls for who asks it, and may call a published port of the host's.
const caller = `
group "caller" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "listen", "9000"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7003"]
    allow   = ["192.0.2.1:8444/tcp", "192.0.2.1:8444/udp", "[2001:db8:1::1]:8444/tcp", "[2001:db8:1::1]:8444/udp"]
  }
}
`

// TestPublish: a port of the host leads to the ambassador for everybody who may call it, and moves while everything runs on. One
// that somebody has already is refused by name, and what runs is left as it is.
func TestPublish(t *testing.T) {
	m := newMachine(t, "")
	m.apply("g.hcl", fmt.Sprintf(publisher, attackImage, 8444, "g"))
	m.apply("caller.hcl", fmt.Sprintf(caller, attackImage))
	before, ns := m.pids("g"), m.netns("caller")
	for _, proto := range []string{"tcp", "udp"} {
		for _, addr := range []string{host4, host6} {
			m.mustReach(m.world, "the world", proto, addr, 8444)
			m.mustReach(m.host, "the host", proto, addr, 8444)
			eventually(t, 3*time.Second, "another group is answered", func() error {
				if o := ask(t, ns, 7003, order{"self", proto, addr, 8444}); o.Reply == "" {
					return fmt.Errorf("%s to %s: %s", proto, addr, o.told())
				}
				return nil
			})
		}
		m.mustReach(m.host, "the host", proto, "127.0.0.1", 8444)
	}
	// The kernel keeps ::1 to the loopback, whatever rules say; who calls it is refused at once, and goes on to 127.0.0.1.
	err := inNetns(m.host, func() error {
		_, err := net.DialTimeout("tcp", "[::1]:8444", time.Second)
		return err
	})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the host calls ::1: %v, want a refusal", err)
	}

	m.apply("g.hcl", fmt.Sprintf(publisher, attackImage, 8445, "g"))
	for _, proto := range []string{"tcp", "udp"} {
		for _, addr := range []string{host4, host6} {
			m.mustReach(m.world, "the world", proto, addr, 8445)
			m.mustNotReach(m.world, "the world", proto, addr, 8444)
		}
		m.mustReach(m.host, "the host", proto, "127.0.0.1", 8445)
		m.mustNotReach(m.host, "the host", proto, "127.0.0.1", 8444)
	}

	var l net.Listener
	within(t, m.host, func() (err error) { l, err = net.Listen("tcp", ":8446"); return err })
	defer l.Close()
	for _, c := range []struct {
		name, file, group string
		port              int
		says              []string
	}{
		{"a process has it", "g.hcl", "g", 8446, []string{"8446/tcp", fmt.Sprintf("(pid %d)", os.Getpid()), "hint"}},
		{"another group has it", "late.hcl", "late", 8445, []string{"8445", "group \"g\""}},
	} {
		path := m.write(c.file, fmt.Sprintf(publisher, attackImage, c.port, c.group))
		_, err := m.try("apply", path)
		if err == nil {
			t.Fatalf("%s: the port was published twice", c.name)
		}
		for _, want := range c.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error doesn't say %q:\n%v", c.name, want, err)
			}
		}
		if now := m.pids("g"); !equal(before, now) {
			t.Errorf("%s: processes are %v, were %v", c.name, now, before)
		}
		m.mustReach(m.world, "the world", "tcp", host4, 8445)
		if n := len(m.ps()); n != 2 {
			t.Errorf("%s: %d groups are there, want 2", c.name, n)
		}
	}
}
