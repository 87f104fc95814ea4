package promise

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/integration/machine"
)

const floodTitle = "8. A flood"

// flooded is a group whose ambassador asks the remote host for an echo all the time. %[2]s and
// %[3]s are its member's command.
const flooded = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "%[2]s", "%[3]s"]
    stop    { signal = "SIGKILL" }
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "visit", "198.51.100.10", "80", "2ms"]
  }
}
`

// Limits of what a flood may cost. The daemon's memory moves by a few MiB without one.
const (
	floodTries  = 200_000
	floodVisits = 100
	floodMiB    = 24
)

// TestPromiseFlood is class 8. While a member floods, the ambassador's requests are all answered,
// and the daemon's memory stays as it was. In the end the test causes a loss, to show that it would
// notice one.
func TestPromiseFlood(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("g.hcl", fmt.Sprintf(flooded, machine.AttackImage, "serve", "127.0.0.1:7001"))
	s, seen := newSection(t, floodTitle), machine.NewCapture(t, m.Host)
	machine.Eventually(t, time.Minute, "the ambassador is answered", func() error { return expectVisits(m, floodVisits, 0) })
	before := machine.ResidentMiB(t, m.Daemon.Process.Pid)

	m.Apply("g.hcl", fmt.Sprintf(flooded, machine.AttackImage, "flood", "64"))
	answeredBefore, _ := visitCounts(m)
	machine.Eventually(t, 3*time.Minute, "the flood is one, and the ambassador goes on", func() error {
		if tried := lastNumbers(m, "app", "tried %d"); len(tried) == 0 || tried[0] < floodTries {
			return fmt.Errorf("tried %v", tried)
		}
		return expectVisits(m, answeredBefore+floodVisits, 0)
	})
	c := m.Status("g").Counters
	if c.MembersTCP.Packets < floodTries/4 || c.MembersOther.Packets < floodTries/4 {
		t.Errorf("of a flood the rules counted %+v", c)
	}
	grown := machine.ResidentMiB(t, m.Daemon.Process.Pid) - before
	_, lost := visitCounts(m)
	out := seen.Take(t, func(f machine.Frame) bool { return machine.AnyFrame(f) && f.Dst().String() != machine.Remote4 })
	t.Logf("the daemon's memory grew by %.1f MiB, from %.1f", grown, before)
	r := row{technique: "connects and datagrams, 64 threads, a new destination each time", family: "v4, v6", who: "app", expected: "nothing; the ambassador served, the daemon's memory kept", control: "the ambassador without its uplink"}
	switch {
	case len(out) > 0:
		r.seen = frames
	case lost > 0:
		r.seen = "the ambassador lost requests"
	case grown > floodMiB:
		r.seen = "the daemon's memory grew"
	default:
		r.seen = r.expected
	}
	s.add(r, lost, grown, out)

	machine.MustInNetns(t, m.Host, func() error {
		up, err := netlink.LinkByName("up0")
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(up)
	})
	machine.Eventually(t, time.Minute, "a loss is noticed", func() error {
		if _, lost := visitCounts(m); lost == 0 {
			return fmt.Errorf("none is")
		}
		return nil
	})
}

// expectVisits returns nil if at least answered of the ambassador's requests were answered, and at
// most lost were lost.
func expectVisits(m *machine.Machine, answered, lost int) error {
	if a, l := visitCounts(m); a < answered || l > lost {
		return fmt.Errorf("%d requests answered, want %d; %d lost", a, answered, l)
	}
	return nil
}

func visitCounts(m *machine.Machine) (answered, lost int) {
	if n := lastNumbers(m, "amb", "answered %d lost %d"); len(n) == 2 {
		return n[0], n[1]
	}
	return 0, 0
}

// lastNumbers returns the numbers in the last line of a container's log that matches a format.
func lastNumbers(m *machine.Machine, container, format string) []int {
	m.T.Helper()
	text, err := os.ReadFile(m.Root + "/log/g/" + container + ".log")
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		numbers := make([]int, strings.Count(format, "%d"))
		to := make([]any, len(numbers))
		for i := range numbers {
			to[i] = &numbers[i]
		}
		if n, err := fmt.Sscanf(lines[i], format, to...); err == nil && n == len(numbers) {
			return numbers
		}
	}
	return nil
}
