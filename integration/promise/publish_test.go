package promise

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// publisher has an ambassador that answers on 7444. A port of the host leads to it over TCP and
// UDP.
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

// caller has an ambassador that carries out orders. It may call a published port of the host.
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

// TestPublish checks that a port of the host leads to the ambassador from everywhere that may call
// it. The port moves without a restart. A port that is taken is refused, the error names its owner,
// and what runs is left as it is.
func TestPublish(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("g.hcl", fmt.Sprintf(publisher, machine.AttackImage, 8444, "g"))
	m.Apply("caller.hcl", fmt.Sprintf(caller, machine.AttackImage))
	before, ns := m.Pids("g"), m.Netns("caller")
	for _, proto := range []string{"tcp", "udp"} {
		for _, addr := range []string{machine.Host4, machine.Host6} {
			m.MustReach(m.Remote, "the remote host", proto, addr, 8444)
			m.MustReach(m.Host, "the host", proto, addr, 8444)
			machine.Eventually(t, time.Minute, "another group is answered", func() error {
				if o := ask(t, ns, 7003, attackOrder{"self", proto, addr, 8444}); o.Reply == "" {
					return fmt.Errorf("%s to %s: %s", proto, addr, o.told())
				}
				return nil
			})
		}
		m.MustReach(m.Host, "the host", proto, "127.0.0.1", 8444)
	}
	// The kernel keeps ::1 on the loopback, whatever the rules are. A caller of it is refused at
	// once, and tries 127.0.0.1 next.
	err := machine.InNetns(m.Host, func() error {
		_, err := net.DialTimeout("tcp", "[::1]:8444", 20*time.Second)
		return err
	})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the host calls ::1: %v, want a refusal", err)
	}

	m.Apply("g.hcl", fmt.Sprintf(publisher, machine.AttackImage, 8445, "g"))
	for _, proto := range []string{"tcp", "udp"} {
		for _, addr := range []string{machine.Host4, machine.Host6} {
			m.MustReach(m.Remote, "the remote host", proto, addr, 8445)
			m.MustNotReach(m.Remote, "the remote host", proto, addr, 8444)
		}
		m.MustReach(m.Host, "the host", proto, "127.0.0.1", 8445)
		m.MustNotReach(m.Host, "the host", proto, "127.0.0.1", 8444)
	}

	var l net.Listener
	machine.MustInNetns(t, m.Host, func() (err error) { l, err = net.Listen("tcp", ":8446"); return err })
	defer l.Close()
	for _, c := range []struct {
		name, file, group string
		port              int
		says              []string
	}{
		{"a process has it", "g.hcl", "g", 8446, []string{"8446/tcp", fmt.Sprintf("(pid %d)", os.Getpid()), "hint"}},
		{"another group has it", "late.hcl", "late", 8445, []string{"8445", "group \"g\""}},
	} {
		path := m.Write(c.file, fmt.Sprintf(publisher, machine.AttackImage, c.port, c.group))
		_, err := m.Try("apply", path)
		if err == nil {
			t.Fatalf("%s: the port was published twice", c.name)
		}
		for _, want := range c.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error doesn't say %q:\n%v", c.name, want, err)
			}
		}
		if now := m.Pids("g"); !maps.Equal(before, now) {
			t.Errorf("%s: processes are %v, were %v", c.name, now, before)
		}
		m.MustReach(m.Remote, "the remote host", "tcp", machine.Host4, 8445)
		if n := len(m.PS()); n != 2 {
			t.Errorf("%s: %d groups are there, want 2", c.name, n)
		}
	}
}
