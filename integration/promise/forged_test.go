package promise

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
)

const forgedTitle = "2. By another's address, for the kernel to answer"

// TestPromiseForgedSource lets a member bind an address of the remote network as its own, and send
// to the group's own address. The kernel's answer, a reset, an error or the handshake of a
// listener, would then go out to the remote host. The control is the same without rules.
func TestPromiseForgedSource(t *testing.T) {
	m := machine.New(t, "")
	applyTwoPorts(m)
	ns, seen, s := m.Netns("g"), machine.NewCapture(t, m.Host), newSection(t, forgedTitle)
	type forged struct {
		technique, to, what string
		port                int
		control             bool // a member suffices for it; else root does
	}
	rows := []forged{{"other-source", "::1", "the ambassador on lo", 7444, true}}
	for _, addr := range m.Status("g").Addrs {
		v6 := family(addr) == "v6" // IPv4 has no route from an address that is not one's own
		rows = append(rows,
			forged{"other-source", addr, "a closed port", 9999, v6},
			forged{"other-source", addr, "the ambassador, published", 7444, v6},
			forged{"other-source", addr, "a member, published", 7443, v6},
			forged{"other-source", addr, "a member", 9000, v6},
			forged{"other-source-by", addr, "a closed port", 9999, false},
			forged{"other-source-udp", addr, "a closed port", 9999, v6},
			forged{"pktinfo", addr, "a closed port", 9999, v6})
	}
	title := func(r forged) string {
		how := map[string]string{"other-source": "tcp", "other-source-by": "tcp by eth0", "other-source-udp": "udp", "pktinfo": "udp by IP_PKTINFO"}
		return how[r.technique] + " to " + r.what
	}
	seen.Take(t, machine.AnyFrame)
	for _, r := range rows {
		o := ask(t, ns, 7001, attackOrder{"self", r.technique, r.to, r.port})
		out := seen.Take(t, machine.AnyFrame)
		s.add(technique{name: title(r)}.row(r.to, try{who: "sidecar", o: o}, out), out)
	}
	defer m.Freeze()()
	for _, r := range rows {
		machine.DropTables(t, ns)
		machine.DropFence(t, m.CgroupV2("g/members")) // it holds back a member's handshake by itself
		seen.Take(t, machine.AnyFrame)
		who, what := "the same without rules and fence", attackOrder{"self", r.technique, r.to, r.port}
		if r.control {
			ask(t, ns, 7001, what)
		} else {
			who = "root there, without rules and fence"
			asRoot(m, ns, what)
		}
		// The kernel may still repeat the handshake of the row before, so this looks at the port.
		if out := seen.Take(t, func(f machine.Frame) bool {
			return f.SourcePort() == r.port || f.Protocol() == unix.IPPROTO_ICMP || f.Protocol() == unix.IPPROTO_ICMPV6
		}); len(out) == 0 {
			t.Errorf("%s to %s port %d is not seen without rules either, so its row proves nothing", r.technique, r.to, r.port)
		}
		s.control(title(r), family(r.to), who)
	}
}
