package promise

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// spender is a group whose ambassador may exchange 1 MiB with the outside.
const spender = `
group "m" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7001"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7003"]
    quota   = "1MiB"
  }
}
`

// TestQuotaEvents checks that there is one event when most of a quota is used and one when it is
// spent, also across restarts of the daemon. With a larger quota traffic passes again.
func TestQuotaEvents(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("m.hcl", fmt.Sprintf(spender, machine.AttackImage))
	ns := m.Netns("m")
	told := func(want ...string) {
		t.Helper()
		machine.Eventually(t, machine.BeforeResync, "the quota's events", func() error {
			var got []string
			for _, e := range m.Events("m", group.EventQuota) {
				got = append(got, e.Text)
			}
			if len(got) != len(want) {
				return fmt.Errorf("got %q, want %q", got, want)
			}
			return machine.Contains(strings.Join(got, "\n"), want...)
		})
	}
	// send lets the ambassador send so many KiB to the remote host, which sends them back.
	send := func(kib int) {
		m.Try("exec", "m.amb", "--", "sh", "-c", fmt.Sprintf("dd if=/dev/zero bs=1k count=%d | nc -w 1 %s %d >/dev/null", kib, machine.Remote4, machine.RemotePort))
	}
	told()
	send(440)
	told("of the quota of 1MiB are used")
	m.Stop()
	m.Start()
	send(200)
	told("of the quota of 1MiB are used", "the quota of 1MiB is spent")
	if o := attempt(t, ns, 7003, "tcp", machine.Remote4); o.Reply != "" {
		t.Error("the ambassador gets through although its quota is spent")
	}
	m.Kill()
	m.Start()
	time.Sleep(1500 * time.Millisecond) // more than one look
	told("of the quota of 1MiB are used", "the quota of 1MiB is spent")

	m.Apply("m.hcl", strings.Replace(fmt.Sprintf(spender, machine.AttackImage), "1MiB", "100MiB", 1))
	machine.Eventually(t, time.Minute, "the ambassador, given more, gets through", func() error {
		if o := attempt(t, ns, 7003, "tcp", machine.Remote4); o.Reply == "" {
			return fmt.Errorf("%s", o.Error)
		}
		return nil
	})
	told("of the quota of 1MiB are used", "the quota of 1MiB is spent")
}
