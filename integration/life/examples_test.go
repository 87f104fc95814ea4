package life

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
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// Every example runs as it is and does what its comment promises. `make images` has built their
// images.

func TestExampleCheckout(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			m := machine.New(t, server)
			payments := m.Payments()
			m.Run("apply", "../../examples/checkout/checkout.hcl")
			payments.WaitFor(t, "payment from "+machine.Host4, "log line from "+machine.Host4)
			if out := m.Run("exec", "checkout.web", "--", "/web", "try", "http://127.0.0.1:9001/"); !strings.Contains(out, "200 OK") {
				t.Errorf("the call through the ambassador: %q", out)
			}
			direct := "http://" + machine.Remote4 + ":8080/"
			if said := m.Fails(1, "exec", "checkout.web", "--", "/web", "try", direct); !strings.Contains(said, "connection refused") {
				t.Errorf("the same call made directly: %q", said)
			}
			if c := m.Status("checkout").Counters; c == nil || c.MembersTCP.Packets == 0 || c.AmbassadorOut.Packets == 0 {
				t.Errorf("the rules counted %+v", c)
			}
			page := exec.Command(filepath.Join(m.Root, "web"), "try", "http://"+machine.Host4+":8088/")
			if err := machine.GoBuild(page.Path, "examples/checkout/web"); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			page.Stdout, page.Stderr = &said, &said
			if err := machine.InNetns(m.Remote, page.Run); err != nil || !strings.Contains(said.String(), "200 OK") {
				t.Errorf("the shop's page from the remote host: %v, %s", err, &said)
			}
		})
	}
}

func TestExampleDirect(t *testing.T) {
	m := machine.New(t, "")
	payments := m.Payments()
	m.Run("apply", "../../examples/direct/direct.hcl")
	payments.WaitFor(t, "payment from "+machine.Host4, "log line from "+machine.Host4)
	for _, addr := range m.Status("direct").Addrs {
		m.MustNotReach(m.Remote, "the remote host", "tcp", addr, 8080)
	}
}

func TestExampleSealed(t *testing.T) {
	m := machine.New(t, "")
	m.Run("apply", "../../examples/sealed/sealed.hcl")
	machine.Eventually(t, time.Minute, "the batch has its figures from the sidecar", func() error {
		return machine.Contains(m.Run("logs", "sealed.batch"), "sum")
	})
	if g := m.Status("sealed"); len(g.Addrs) > 0 {
		t.Errorf("a sealed group has addresses: %v", g.Addrs)
	}
}

// TestExampleSandbox checks that the agent gets what is on the lists and nothing else, by its own
// log, by the proxy's log of refusals, and by the capture.
func TestExampleSandbox(t *testing.T) {
	m := machine.New(t, "")
	payments := m.Payments()
	m.ServeTLS(t, machine.Remote4+":443", "packages")
	m.ServeNames(t, map[string]netip.Addr{"packages.example.com": netip.MustParseAddr(machine.Remote4), "mirror.example.com": netip.MustParseAddr(machine.Remote4)})
	seen := machine.NewCapture(t, m.Host)
	m.Run("apply", "../../examples/sandbox/sandbox.hcl")
	through := []string{
		"packages, by name over TLS: went through: packages of packages.example.com",
		"mirror, by name: went through: receipt",
		"mirror, by address: went through: receipt",
	}
	refused := []string{
		"another address", "another address in the mirror's name", "another port of the mirror", "cloud metadata",
		"a name on no list", "a secret in a DNS question", "an echo request",
	}
	machine.Eventually(t, time.Minute, "the agent has what it may have", func() error {
		return machine.Contains(m.Run("logs", "sandbox.agent"), append(through, refused[len(refused)-1])...)
	})
	log := m.Run("logs", "sandbox.agent")
	for _, what := range refused {
		if err := machine.Contains(log, what+": refused: "); err != nil || strings.Contains(log, what+": went through") {
			t.Errorf("%s was not refused:\n%s", what, log)
		}
	}
	payments.WaitFor(t, "payment from "+machine.Host4)
	if err := machine.Contains(m.Run("logs", "sandbox.proxy"), "203.0.113.66:80 ", "203.0.113.66:8080 ", "169.254.169.254:80 ", machine.Remote4+":22 "); err != nil {
		t.Errorf("what the proxy turned away: %v", err)
	}
	if c := m.Status("sandbox").Counters; c == nil || c.MembersOther.Packets == 0 {
		t.Errorf("the rules counted %+v", c)
	}
	var allowed int
	for _, f := range seen.Take(t, machine.AnyFrame) {
		switch f.Dst().String() {
		case machine.Remote4, machine.NameServer4:
			allowed++
		default:
			t.Errorf("it got out: %v", f)
		}
	}
	if allowed == 0 {
		t.Error("what is allowed was not seen at the capture either, which proves nothing")
	}
}

// TestExampleLedger checks that written data outlives the group, and that an update that never
// becomes ready is reverted.
func TestExampleLedger(t *testing.T) {
	m := machine.New(t, "")
	m.Run("apply", "--settle", "1s", "../../examples/ledger/ledger.hcl") // until it has proved itself
	if page := ledgerPage(m); strings.Count(page, "opened") != 1 || !strings.Contains(page, "a clerk came") {
		t.Errorf("the app was started before the init and the sidecar were done:\n%s", page)
	}
	clerk := m.Pids("ledger")["clerk"]
	said := m.Fails(1, "apply", "--var", "folder=/bin", "../../examples/ledger/ledger.hcl")
	if err := machine.Contains(said, "taken back", "book"); err != nil {
		t.Errorf("an update that is never ready: %v", err)
	}
	machine.Eventually(t, time.Minute, "the generation before is back", func() error { return machine.Contains(ledgerPage(m), "a clerk came") })
	if now := m.Pids("ledger")["clerk"]; now != clerk {
		t.Errorf("the clerk is process %d, and was %d before an update that was not about it", now, clerk)
	}
	m.Run("rm", "ledger")
	m.Run("apply", "../../examples/ledger/ledger.hcl")
	if page := ledgerPage(m); strings.Count(page, "opened") != 2 {
		t.Errorf("the ledger after the group was removed and came back:\n%s", page)
	}
	m.Run("rm", "--volumes", "ledger")
	m.Run("apply", "../../examples/ledger/ledger.hcl")
	if page := ledgerPage(m); strings.Count(page, "opened") != 1 {
		t.Errorf("the ledger after its volume was removed:\n%s", page)
	}
}

// ledgerPage returns the example's page as the remote host sees it, or the error.
func ledgerPage(m *machine.Machine) string {
	dial := func(_ context.Context, network, addr string) (c net.Conn, err error) {
		err = machine.InNetns(m.Remote, func() (err error) {
			c, err = net.DialTimeout(network, addr, 20*time.Second)
			return err
		})
		return c, err
	}
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := client.Get("http://" + machine.Host4 + ":8089/ledger.txt")
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
