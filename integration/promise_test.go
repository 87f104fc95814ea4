package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// An outcome is one attempt, as the attacker told it.
type outcome struct {
	Technique string  `json:"technique"`
	Error     string  `json:"error"`
	Micros    float64 `json:"micros"`
	Reply     string  `json:"reply"`
}

// sealed is a group of three attackers that wait to be asked: the app on port 7001, a sidecar on 7002, the ambassador on 7003.
const attackers = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7001"]
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7002"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7003"]
  }
}
`

// A technique of class 1 or 2 of ENFORCEMENT's list, and where it goes; empty: not for that family.
type technique struct {
	name   string
	to4    string
	to6    string
	exec   bool // changes the process for good: only from a child or an exec'd process
	public bool // the frame's address tells nothing: any frame counts
	kernel bool // what would be sent is the kernel's, and nobody's
}

var techniques = []technique{
	{name: "tcp", to4: victim4, to6: victim6},
	{name: "udp", to4: victim4, to6: victim6},
	{name: "udp-unconnected", to4: victim4, to6: victim6},
	{name: "udplite", to4: victim4, to6: victim6},
	{name: "sctp", to4: victim4, to6: victim6},
	{name: "dccp", to4: victim4, to6: victim6},
	{name: "mptcp", to4: victim4, to6: victim6},
	{name: "fastopen", to4: victim4, to6: victim6},
	{name: "ping", to4: victim4, to6: victim6},
	{name: "raw-icmp", to4: victim4, to6: victim6},
	{name: "raw-ip", to4: victim4, to6: victim6},
	{name: "packet", to4: victim4, public: true},
	{name: "fragments", to4: victim4, to6: victim6},
	{name: "broadcast", to4: "255.255.255.255", public: true},
	{name: "multicast", to4: "224.0.0.251", to6: "ff02::fb", public: true},
	{name: "multicast-join", to4: "239.1.2.3", to6: "ff05::1234", kernel: true},
	{name: "ambassador-uid", to4: victim4, to6: victim6, exec: true},
	{name: "mark", to4: victim4, to6: victim6},
	{name: "bindtodevice", to4: victim4, to6: victim6},
	{name: "other-source", to4: victim4, to6: victim6, public: true},
	{name: "v4-mapped", to4: victim4},
	{name: "ip-options", to4: victim4, to6: victim6},
	{name: "published-port", to4: victim4, to6: victim6},
}

// A member is one way for a member of the group to do a technique.
type member struct {
	name string
	do   func(technique, string) outcome
	self bool // in a process that goes on
}

// TestPromiseOutbound does every technique from every kind of member, and then as the ambassador, with the capture as judge.
func TestPromiseOutbound(t *testing.T) {
	m := newMachine(t, "")
	m.apply("g.hcl", fmt.Sprintf(attackers, attackImage))
	ns, seen := m.netns("g"), newCapture(t, m.host)
	// Groups have ping sockets shut by sysctl. That must not be what the row rests on.
	within(t, ns, func() error { return os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0) })
	via := func(port int, how string) func(technique, string) outcome {
		return func(x technique, to string) outcome { return ask(t, ns, port, how, x.name, to) }
	}
	members := []member{
		{"app", via(7001, "self"), true}, {"its child", via(7001, "child"), false}, {"its orphan", via(7001, "orphan"), false},
		{"sidecar", via(7002, "self"), true}, {"exec'd", m.attackExec, false},
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-16s %-4s %-10s %-6s %-10s %s\n", "technique", "ip", "from", "seen", "control", "the attacker was told")
	for _, x := range techniques {
		for _, to := range []string{x.to4, x.to6} {
			if to == "" {
				continue
			}
			seen.take(t, anyFrame)
			for _, who := range members {
				if x.exec && who.self {
					continue
				}
				o := who.do(x, to)
				out := seen.take(t, anyFrame)
				fmt.Fprintf(&table, "%-16s %-4s %-10s %-6d %-10s %s (%.0f µs)\n", x.name, family(to), who.name, len(out), "", o.told(), o.Micros)
				if len(out) > 0 {
					t.Errorf("%s over %s from %s got out: %v", x.name, family(to), who.name, out)
				}
				if o.Reply != "" {
					t.Errorf("%s over %s from %s was answered: %q", x.name, family(to), who.name, o.Reply)
				}
			}
			if !x.kernel {
				m.control(&table, ns, seen, x, to)
			}
		}
	}
	m.controlWithoutRules(&table, ns, seen)
	t.Logf("what members tried, and what the capture saw:\n%s", &table)
}

func family(addr string) string {
	if net.ParseIP(addr).To4() == nil {
		return "v6"
	}
	return "v4"
}

// controlWithoutRules takes the group's rules away and has the app try again: the fence on its cgroup holds by itself. Then
// it takes the fence away too, and now the app is seen. For what the kernel sends on a process's behalf this is the only
// control, since it is nobody's.
func (m *machine) controlWithoutRules(table *strings.Builder, ns netns.NsHandle, seen *capture) {
	m.t.Helper()
	m.kill() // or it would put the rules back
	try := func(x technique, to, without string) (outcome, []frame) {
		dropTables(m.t, ns)
		o := ask(m.t, ns, 7001, "self", x.name, to)
		out := seen.take(m.t, anyFrame)
		fmt.Fprintf(table, "%-16s %-4s %-10s %-6s %-10d %s (%.0f µs)\n", x.name, family(to), without, "", len(out), o.told(), o.Micros)
		return o, out
	}
	for _, to := range []string{victim4, victim6} {
		if _, out := try(technique{name: "tcp"}, to, "fence only"); len(out) > 0 {
			m.t.Errorf("tcp over %s got out past the fence: %v", family(to), out)
		}
	}
	dropFence(m.t, m.cgroup2("g/members"))
	for _, x := range techniques {
		for _, to := range []string{x.to4, x.to6} {
			if to == "" || !x.kernel && x.name != "tcp" {
				continue
			}
			if o, out := try(x, to, "no rules"); len(out) == 0 {
				m.t.Errorf("%s over %s is not seen without rules either, so its row proves nothing: %s", x.name, family(to), o.told())
			}
		}
	}
}

// control shows that the technique is seen when the ambassador does it: itself where its rights suffice, else root in its
// cgroup and the group's namespace. A protocol the kernel lacks has no control, and says so.
func (m *machine) control(table *strings.Builder, ns netns.NsHandle, seen *capture, x technique, to string) {
	m.t.Helper()
	o := ask(m.t, ns, 7003, "child", x.name, to)
	out := seen.take(m.t, x.keep(to))
	who := "ambassador"
	if len(out) == 0 && !o.lacking() {
		who = "root there"
		o = m.inAmbassadorsCgroup(ns, x, to)
		out = seen.take(m.t, x.keep(to))
	}
	fmt.Fprintf(table, "%-16s %-4s %-10s %-6s %-10d %s (%.0f µs)\n", x.name, family(to), who, "", len(out), o.told(), o.Micros)
	if len(out) == 0 && !o.lacking() {
		m.t.Errorf("the control of %s over %s was not seen either, so that row proves nothing: %s", x.name, family(to), o.told())
	}
}

func (x technique) keep(addr string) func(frame) bool {
	if x.public {
		return anyFrame
	}
	return to(addr)
}

func (o outcome) told() string {
	if o.Error == "" {
		return "accepted"
	}
	return strings.ReplaceAll(o.Error, "\n", "; ")
}

// lacking: the kernel has no such protocol, for nobody.
func (o outcome) lacking() bool {
	for _, e := range []error{unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT} {
		if strings.Contains(o.Error, e.Error()) {
			return true
		}
	}
	return false
}

// ask has an attacker do a technique, over the group's loopback.
func ask(t testing.TB, ns netns.NsHandle, port int, how, technique, to string) outcome {
	t.Helper()
	return askPort(t, ns, port, how, technique, to, worldPort)
}

func askPort(t testing.TB, ns netns.NsHandle, port int, how, technique, to string, toPort int) outcome {
	t.Helper()
	var o outcome
	eventually(t, 5*time.Second, fmt.Sprintf("the attacker on %d answers", port), func() error {
		var c net.Conn
		if err := inNetns(ns, func() (err error) {
			c, err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
			return err
		}); err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintln(c, how, technique, to, toPort)
		var answer bytes.Buffer
		if _, err := answer.ReadFrom(c); err != nil {
			return err
		}
		o = outcome{}
		if answer.Len() == 0 && how == "orphan" {
			return nil // it has left already; the capture tells
		}
		return json.Unmarshal(answer.Bytes(), &o)
	})
	return o
}

func (m *machine) attackExec(x technique, to string) outcome {
	m.t.Helper()
	var o outcome
	out := m.run("exec", "g.app", "--", "/attack", "try", x.name, to, fmt.Sprint(worldPort))
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		m.t.Fatalf("exec'd attack said %q: %v", out, err)
	}
	return o
}

// inAmbassadorsCgroup does the technique with every right there is, from the cgroup that may leave.
func (m *machine) inAmbassadorsCgroup(ns netns.NsHandle, x technique, to string) outcome {
	m.t.Helper()
	dir, err := os.Open(m.cgroup2("g/ambassador/amb"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command(attackBinary, "try", x.name, to, fmt.Sprint(worldPort))
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := startIn(ns, cmd); err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		m.t.Fatal(err)
	}
	var o outcome
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		m.t.Fatal(err)
	}
	return o
}

// dropTables leaves a namespace without any rule.
func dropTables(t testing.TB, ns netns.NsHandle) {
	t.Helper()
	c := &nftables.Conn{NetNS: int(ns)}
	c.FlushRuleset()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}
