package integration

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Every example is booted as it is and does what its comment says; `make images` has built what they run.

func TestExampleCheckout(t *testing.T) {
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, server)
			world := m.payments()
			m.run("apply", "../examples/checkout/checkout.hcl")
			world.waitFor(t, "payment from "+host4, "log line from "+host4)
			if out := m.run("exec", "checkout.web", "--", "/web", "try", "http://127.0.0.1:9001/"); !strings.Contains(out, "200 OK") {
				t.Errorf("the call through the ambassador: %q", out)
			}
			direct := "http://" + world4 + ":8080/"
			if said := m.refused(1, "exec", "checkout.web", "--", "/web", "try", direct); !strings.Contains(said, "connection refused") {
				t.Errorf("the same call made directly: %q", said)
			}
			if c := m.status("checkout").Counters; c == nil || c.MembersTCP.Packets == 0 || c.AmbassadorOut.Packets == 0 {
				t.Errorf("the rules counted %+v", c)
			}
			page := exec.Command(filepath.Join(m.root, "web"), "try", "http://"+host4+":8088/")
			if err := gobuild(page.Path, "../examples/checkout/web"); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			page.Stdout, page.Stderr = &said, &said
			if err := inNetns(m.world, page.Run); err != nil || !strings.Contains(said.String(), "200 OK") {
				t.Errorf("the shop's page from the world: %v, %s", err, &said)
			}
		})
	}
}

func TestExampleDirect(t *testing.T) {
	m := newMachine(t, "")
	world := m.payments()
	m.run("apply", "../examples/direct/direct.hcl")
	world.waitFor(t, "payment from "+host4, "log line from "+host4)
	for _, addr := range m.status("direct").Addrs {
		m.mustNotReach(m.world, "the world", "tcp", addr, 8080)
	}
}

func TestExampleSealed(t *testing.T) {
	m := newMachine(t, "")
	m.run("apply", "../examples/sealed/sealed.hcl")
	eventually(t, 5*time.Second, "the batch has its figures from the sidecar", func() error {
		return says(m.run("logs", "sealed.batch"), "sum")
	})
	if g := m.status("sealed"); len(g.Addrs) > 0 {
		t.Errorf("a sealed group has addresses: %v", g.Addrs)
	}
}

// payments runs the example's world in this one's, until the test ends.
func (m *machine) payments() *output {
	m.t.Helper()
	program := filepath.Join(m.root, "payments")
	if err := gobuild(program, "../examples/checkout/payments"); err != nil {
		m.t.Fatal(err)
	}
	s := &output{}
	cmd := exec.Command(program)
	cmd.Stdout, cmd.Stderr = s, s
	if err := startIn(m.world, cmd); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	return s
}
