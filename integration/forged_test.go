package integration

import (
	"fmt"
	"testing"
)

// TestPromiseForgedSource: a member binds an address of the world as its own and connects to the group's own address, so that
// the kernel's answer, a reset or the handshake of a listener, would be for the world. The control is the same without rules.
func TestPromiseForgedSource(t *testing.T) {
	m := newMachine(t, "")
	m.apply("g.hcl", fmt.Sprintf(doors, attackImage))
	ns, seen := m.netns("g"), newCapture(t, m.host)
	own := m.status("g").Addrs
	type row struct {
		technique, to string
		port          int
		control       bool
	}
	rows := []row{
		{"other-source-by", "::1", 9999, false}, {"other-source-by", "::1", 7444, false}, {"other-source", "::1", 7444, true},
		{"other-source", "127.0.0.1", 7444, false},
	}
	for _, addr := range own {
		v6 := family(addr) == "v6" // IPv4 has no route from an address that is not one's own
		rows = append(rows,
			row{"other-source", addr, 9999, v6}, // nobody listens
			row{"other-source", addr, 7444, v6}, // the ambassador does, and it is published
			row{"other-source", addr, 7443, v6}, // a member does, and it is published
			row{"other-source", addr, 9000, v6}, // a member does
			row{"other-source-by", addr, 9999, false})
	}
	try := func(r row) []frame {
		askPort(t, ns, 7001, "self", r.technique, r.to, r.port)
		return seen.take(t, anyFrame)
	}
	seen.take(t, anyFrame)
	for _, r := range rows {
		if out := try(r); len(out) > 0 {
			t.Errorf("%s to %s port %d: the kernel answered the world: %v", r.technique, r.to, r.port, out)
		}
	}
	m.kill() // or it would put the rules back
	dropTables(t, ns)
	for _, r := range rows {
		if out := try(r); r.control && len(out) == 0 {
			t.Errorf("%s to %s port %d is not seen without rules either, so its row proves nothing", r.technique, r.to, r.port)
		}
	}
}
