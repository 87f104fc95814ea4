package integration

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
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

// TestExampleSandbox: the agent gets what is on the lists and nothing else. Its own log says so, the proxy's says what it turned
// away, and the capture that nothing else came out.
func TestExampleSandbox(t *testing.T) {
	m := newMachine(t, "")
	world := m.payments()
	m.serveTLS(t, world4+":443", "packages")
	m.nameserver(t, map[string]netip.Addr{"packages.example.com": netip.MustParseAddr(world4), "mirror.example.com": netip.MustParseAddr(world4)})
	seen := newCapture(t, m.host)
	m.run("apply", "../examples/sandbox/sandbox.hcl")
	through := []string{
		"packages, by name over TLS: went through: packages of packages.example.com",
		"mirror, by name: went through: receipt",
		"mirror, by address: went through: receipt",
	}
	refused := []string{
		"another address", "another address in the mirror's name", "another port of the mirror", "cloud metadata",
		"a name on no list", "a secret in a DNS question", "an echo request",
	}
	eventually(t, 20*time.Second, "the agent has what it may have", func() error {
		return says(m.run("logs", "sandbox.agent"), append(through, refused[len(refused)-1])...)
	})
	log := m.run("logs", "sandbox.agent")
	for _, what := range refused {
		if err := says(log, what+": refused: "); err != nil || strings.Contains(log, what+": went through") {
			t.Errorf("%s was not refused:\n%s", what, log)
		}
	}
	world.waitFor(t, "payment from "+host4)
	if err := says(m.run("logs", "sandbox.proxy"), "203.0.113.66:80 ", "203.0.113.66:8080 ", "169.254.169.254:80 ", world4+":22 "); err != nil {
		t.Errorf("what the proxy turned away: %v", err)
	}
	if c := m.status("sandbox").Counters; c == nil || c.MembersOther.Packets == 0 {
		t.Errorf("the rules counted %+v", c)
	}
	var allowed int
	for _, f := range seen.take(t, anyFrame) {
		switch f.dst().String() {
		case world4, names4:
			allowed++
		default:
			t.Errorf("it got out: %v", f)
		}
	}
	if allowed == 0 {
		t.Error("what is allowed was not seen at the capture either, which proves nothing")
	}
}

// TestExampleLedger: what was written outlives the group, and an update that shows nothing is taken back.
func TestExampleLedger(t *testing.T) {
	m := newMachine(t, "")
	m.run("apply", "../examples/ledger/ledger.hcl")
	if page := m.ledger(); strings.Count(page, "opened") != 1 || !strings.Contains(page, "a clerk came") {
		t.Errorf("the app was started before the init and the sidecar were done:\n%s", page)
	}
	clerk := m.pids("ledger")["clerk"]
	said := m.refused(1, "apply", "--var", "folder=/bin", "../examples/ledger/ledger.hcl")
	if err := says(said, "taken back", "book"); err != nil {
		t.Errorf("an update that is never ready: %v", err)
	}
	eventually(t, 10*time.Second, "the generation before is back", func() error { return says(m.ledger(), "a clerk came") })
	if now := m.pids("ledger")["clerk"]; now != clerk {
		t.Errorf("the clerk is process %d, and was %d before an update that was not about it", now, clerk)
	}
	m.run("rm", "ledger")
	m.run("apply", "../examples/ledger/ledger.hcl")
	if page := m.ledger(); strings.Count(page, "opened") != 2 {
		t.Errorf("the ledger after the group was removed and came back:\n%s", page)
	}
	m.run("rm", "--volumes", "ledger")
	m.run("apply", "../examples/ledger/ledger.hcl")
	if page := m.ledger(); strings.Count(page, "opened") != 1 {
		t.Errorf("the ledger after its volume was removed:\n%s", page)
	}
}

// ledger is the example's page as the world sees it; what is wrong where it sees none.
func (m *machine) ledger() string {
	dial := func(_ context.Context, network, addr string) (c net.Conn, err error) {
		err = inNetns(m.world, func() (err error) {
			c, err = net.DialTimeout(network, addr, time.Second)
			return err
		})
		return c, err
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := client.Get("http://" + host4 + ":8089/ledger.txt")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(page)
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
