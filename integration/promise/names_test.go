package promise

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/ctrd"
)

// payer calls a service by its public name and port. %[2]s is the network block of the group, with
// the ambassador's name servers.
const payer = `
group "g" {
  %[2]s
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7001"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/bin/httpd", "-f", "-p", "127.0.0.1:8080", "-h", "/www"]
    upstream "payments" {
      listen = 8080
      hosts  = ["payments.example.com", "Pay.example.net"]
    }
    file "/www/index.html" { content = "paid through the ambassador\n" }
    stop { signal = "SIGKILL" }
  }
}
`

const askRemote = `network {
    dns { servers = ["` + machine.NameServer4 + `", "` + machine.NameServer6 + `"] }
  }`

// TestNamesOfUpstreams runs an unmodified client that calls a service by its name and reaches the
// ambassador. Members can't look up other names. For the ambassador the same name has its public
// address.
func TestNamesOfUpstreams(t *testing.T) {
	m := machine.New(t, "")
	dns := m.ServeNames(t, map[string]netip.Addr{"payments.example.com": netip.MustParseAddr(machine.Remote4), "other.example.com": netip.MustParseAddr(machine.Remote4)})
	seen := machine.NewCapture(t, m.Host)
	m.Apply("g.hcl", fmt.Sprintf(payer, machine.AttackImage, askRemote))
	for _, name := range []string{"payments", "payments.example.com", "pay.example.net"} {
		if out := m.Run("exec", "g.app", "--", "wget", "-q", "-O", "-", "http://"+name+":8080/"); !strings.Contains(out, "paid through the ambassador") {
			t.Errorf("the call to %s: %q", name, out)
		}
	}
	if conf := m.Run("exec", "g.app", "--", "cat", "/etc/resolv.conf"); conf != "" {
		t.Errorf("a member's resolv.conf: %q", conf)
	}
	if said := m.Fails(1, "exec", "g.app", "--", "wget", "-q", "-O", "-", "http://other.example.com:8080/"); !strings.Contains(said, "bad address") {
		t.Errorf("a name that is in no file: %q", said)
	}
	if out := seen.Take(t, machine.AnyFrame); len(out) > 0 {
		t.Errorf("members' names took packets out of the group: %v", out)
	}

	for _, name := range []string{"payments.example.com", "other.example.com"} {
		if out := m.Run("exec", "g.amb", "--", "nslookup", name); !strings.Contains(out, machine.Remote4) {
			t.Errorf("for the ambassador %s is %q", name, out)
		}
	}
	if err := dns.Asked("udp payments.example.com"); err != nil {
		t.Error(err)
	}
	if out := seen.Take(t, machine.To(machine.NameServer4)); len(out) == 0 {
		t.Error("the ambassador's questions were not seen either, so the members' row proves nothing")
	}
}

// TestNamesOfTheHost has no network block. The ambassador then asks the name servers of the host
// that a group can reach.
func TestNamesOfTheHost(t *testing.T) {
	m := machine.New(t, "")
	servers, err := ctrd.Resolvers()
	if err != nil {
		t.Fatal(err)
	}
	m.Apply("g.hcl", fmt.Sprintf(payer, machine.AttackImage, ""))
	want := fmt.Sprint(servers)
	if got := fmt.Sprint(nameservers(m.Run("exec", "g.amb", "--", "cat", "/etc/resolv.conf"))); got != want {
		t.Errorf("the ambassador asks %v, the host %v", got, want)
	}
	before := m.Pids("g")
	m.Apply("g.hcl", fmt.Sprintf(payer, machine.AttackImage, askRemote))
	if got, want := fmt.Sprint(nameservers(m.Run("exec", "g.amb", "--", "cat", "/etc/resolv.conf"))), fmt.Sprint([]string{machine.NameServer4, machine.NameServer6}); got != want {
		t.Errorf("the ambassador asks %v, its network block says %v", got, want)
	}
	if now := m.Pids("g"); now["app"] != before["app"] {
		t.Errorf("the ambassador's servers restarted a member: %v, then %v", before, now)
	}
}

// nameservers returns those of a resolv.conf.
func nameservers(conf string) []string {
	list := []string{}
	for line := range strings.Lines(conf) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "nameserver" {
			list = append(list, f[1])
		}
	}
	return list
}

// resolver is a group whose ambassador answers its members' questions. It is Debian's dnsmasq,
// which forwards them to the remote servers.
const resolver = `
group "g" {
  dns = "ambassador"
  network {
    dns { servers = ["` + machine.NameServer4 + `", "` + machine.NameServer6 + `"] }
  }
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7001"]
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7002"]
  }
  ambassador "amb" {
    image = "%[2]s"
    args  = ["--keep-in-foreground", "--log-facility=-", "--pid-file", "--user=nobody", "--group=nogroup",
      "--listen-address=127.0.0.1", "--bind-interfaces", "--no-hosts"]
  }
}
`

// TestNamesFromTheAmbassador lets members ask 127.0.0.1. dnsmasq forwards their questions to the
// remote servers, over UDP and TCP. The same question straight to a remote server is refused and
// counted, and the capture doesn't see it.
func TestNamesFromTheAmbassador(t *testing.T) {
	m := machine.New(t, "")
	dns := m.ServeNames(t, map[string]netip.Addr{
		"udp.example.com": netip.MustParseAddr("203.0.113.1"), "six.example.com": netip.MustParseAddr("2001:db8::1"), "tcp.example.com": netip.MustParseAddr("203.0.113.2"),
	})
	seen := machine.NewCapture(t, m.Host)
	m.Apply("g.hcl", fmt.Sprintf(resolver, machine.AttackImage, machine.Image(t, "dnsmasq")))
	for _, member := range []string{"g.app", "g.side"} {
		machine.Eventually(t, time.Minute, "dnsmasq answers "+member, func() error {
			out, err := m.Try("exec", member, "--", "nslookup", "udp.example.com")
			if err != nil {
				return err
			}
			return machine.Contains(out, "127.0.0.1:53", "203.0.113.1")
		})
	}
	if out := m.Run("exec", "g.app", "--", "nslookup", "-type=aaaa", "six.example.com"); !strings.Contains(out, "2001:db8::1") {
		t.Errorf("a v6 address by name: %q", out)
	}
	if got := askOverTCP(m, "127.0.0.1", "tcp.example.com"); got != "203.0.113.2" {
		t.Errorf("over TCP the answer is %q", got)
	}
	for _, asked := range []string{"udp udp.example.com", "udp six.example.com", "tcp tcp.example.com"} {
		if err := dns.Asked(asked); err != nil {
			t.Error(err)
		}
	}
	if out := seen.Take(t, withLabel("example")); len(out) == 0 {
		t.Error("the ambassador's questions were not seen at the capture, so the next row proves nothing")
	}

	before := m.Status("g").Counters
	for _, server := range []string{machine.NameServer4, machine.NameServer6} {
		m.Fails(1, "exec", "g.app", "--", "nslookup", "straight.example.com", server)
		if got := askOverTCP(m, server, "straight.example.com"); got != "" {
			t.Errorf("a member's own question over TCP to %s was answered: %q", server, got)
		}
	}
	if out := seen.Take(t, machine.AnyFrame); len(out) > 0 {
		t.Errorf("a member's own questions got out: %v", out)
	}
	for _, how := range []string{"udp", "tcp"} {
		if err := dns.Asked(how + " straight.example.com"); err == nil {
			t.Errorf("a member asked the remote server over %s", how)
		}
	}
	after := m.Status("g").Counters
	if after.MembersOther.Packets == before.MembersOther.Packets || after.MembersTCP.Packets == before.MembersTCP.Packets {
		t.Errorf("not counted: before %+v, after %+v", before, after)
	}
}

// withLabel accepts frames that contain a label of a name.
func withLabel(label string) func(machine.Frame) bool {
	return func(f machine.Frame) bool { return bytes.Contains(f.Data, []byte(label)) }
}

// askOverTCP lets the app ask for a name's IPv4 address with nc. It returns the address, or nothing
// if there was no answer.
func askOverTCP(m *machine.Machine, server, name string) string {
	m.T.Helper()
	question := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	b, err := question.Pack()
	if err != nil {
		m.T.Fatal(err)
	}
	text := fmt.Sprintf(`\x%02x\x%02x`, len(b)>>8, len(b)&0xff)
	for _, c := range b {
		text += fmt.Sprintf(`\x%02x`, c)
	}
	out, _ := m.Try("exec", "g.app", "--", "sh", "-c", fmt.Sprintf("printf '%s' | timeout 3 nc %s 53", text, server))
	var answer dnsmessage.Message
	if len(out) < 2 || answer.Unpack([]byte(out)[2:]) != nil || len(answer.Answers) != 1 {
		return ""
	}
	a, ok := answer.Answers[0].Body.(*dnsmessage.AResource)
	if !ok {
		return ""
	}
	return netip.AddrFrom4(a.A).String()
}
