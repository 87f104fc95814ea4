package integration

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
)

// relentless: the app and a sidecar go for the victim from their first instruction to their last, the ambassador for the world.
const relentless = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "loop", "198.51.100.66", "80", "0s"]
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/attack", "loop", "2001:db8:51::66", "80", "0s"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "loop", "198.51.100.10", "80", "0s"]
  }
}
`

// TestPromiseOverKills: class 7, first part. Groups start, the daemon is killed at uneven moments and comes back, the
// ambassador is killed and comes back, the group stops; the capture sees the ambassador and never a member.
func TestPromiseOverKills(t *testing.T) {
	m := newMachine(t, "")
	path := m.write("g.hcl", fmt.Sprintf(relentless, attackImage))
	seen := newCapture(t, m.host)
	judge := func(when string) {
		t.Helper()
		out := seen.take(t, anyFrame)
		doors := 0
		for _, f := range out {
			if f.dst().String() == world4 {
				doors++
			} else {
				t.Errorf("%s: a member's packet got out: %v", when, f)
			}
		}
		if doors == 0 {
			t.Errorf("%s: not even the ambassador was seen, so this proves nothing", when)
		}
		t.Logf("%s: %d frames of the ambassador, %d of members", when, doors, len(out)-doors)
	}

	for i := range 5 {
		m.run("apply", path)
		judge(fmt.Sprintf("start %d", i+1))
		if i < 4 {
			m.run("rm", "g")
		}
	}
	before := m.pids("g")

	m.kill()
	judge("while the daemon is dead")
	m.start()
	if after := m.pids("g"); !equal(before, after) {
		t.Errorf("a new daemon did not adopt the group as it was: %v, then %v", before, after)
	}
	judge("after the daemon is back")

	unix.Kill(int(before["amb"]), unix.SIGKILL)
	eventually(t, 15*time.Second, "the ambassador is back", func() error {
		now := m.pids("g")
		if now["amb"] == 0 || now["amb"] == before["amb"] {
			return fmt.Errorf("%v", now)
		}
		if now["app"] != before["app"] || now["side"] != before["side"] {
			t.Fatalf("its members were restarted: %v, then %v", before, now)
		}
		return nil
	})
	judge("over the ambassador's death")

	// Killed in the middle of bringing the group up, at moments spread over the 100 ms that takes.
	for i := range 6 {
		m.run("rm", "g")
		go m.try("apply", path) // its error is the kill's
		time.Sleep(time.Duration(15*(i+1)) * time.Millisecond)
		m.kill()
		m.start()
		eventually(t, 20*time.Second, "the group is up or was never installed", func() error {
			g := m.ps()
			if len(g) > 0 && g[0].State != shim.Running {
				return fmt.Errorf("%s: %s", g[0].State, g[0].Error)
			}
			return nil
		})
		m.run("apply", path)
		judge(fmt.Sprintf("daemon killed %d ms into an apply", 15*(i+1)))
	}
}

func equal(a, b map[string]uint32) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
