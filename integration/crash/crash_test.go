package crash

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// The newest containerd gets a third of the crashes, in turn: what differs is not the daemon.
var everyCrash = flag.Bool("every-crash", false, "TestCrashPoints also with the newest containerd at every point")

// TestCrashPoints kills the daemon before, within and after whatever it does to a group, and between any two of the changes that it
// makes to its files. What it was asked for is then there wholly, or not at all; the next daemon makes it so, leaves nothing behind
// and touches no other group; and at no time gets a member out.
func TestCrashPoints(t *testing.T) {
	for name, server := range machine.Servers(t) {
		for _, o := range scenarios {
			t.Run(name+"/"+o.name, func(t *testing.T) {
				t.Parallel() // most of it is waiting
				c := newCrashTest(t, server)
				for n := range o.rounds() {
					if server == "" || *everyCrash || n%3 == 0 {
						c.round(o, n)
					}
				}
				c.checkOthers()
			})
		}
	}
}

// A crashTest is a machine whose daemon is killed at a point, again and again.
type crashTest struct {
	*machine.Machine
	watch       *machine.Watch
	ambassadors int
	steady      map[string]uint32
	before      []string // what the host's network is with no other group than the steady one
}

func newCrashTest(t *testing.T, server string) *crashTest {
	m := machine.NewIdle(t, server)
	m.Binary = failpointBinary
	c := &crashTest{Machine: m}
	c.startWithFailpoint()
	c.watch = machine.NewWatch(t, m.Host)
	m.Apply("steady.hcl", fmt.Sprintf(steady, machine.AttackImage))
	c.steady = m.Pids("steady")
	m.Run(c.brittle(1).args...) // the host's own part is made with the first group
	m.Run("rm", "--volumes", "brittle")
	c.before = m.HostNetwork(t)
	return c
}

// startWithFailpoint starts a daemon that crashes as soon as a file says where.
func (c *crashTest) startWithFailpoint() { c.Start(failpointEnv + "=" + c.failpointFile()) }

// failpointEnv is the variable that names the daemon's file of failpoints.
const failpointEnv = "SALLYPORT_FAILPOINT"

func (c *crashTest) failpointFile() string { return filepath.Join(c.Root, "failpoint") }

// round is a whole life of the ordeal's groups, with a crash in each phase: at the nth of its points, counted around.
func (c *crashTest) round(o scenario, n int) {
	c.T.Helper()
	for _, p := range o.phases {
		at := p.at[n%len(p.at)]
		c.crash(p.name+", "+at, at, p.requests(c, n))
	}
}

// crash makes demands of a daemon that kills itself meanwhile, all at once, then starts the next, and sees to it that each is met.
func (c *crashTest) crash(name, at string, demands []request) {
	c.T.Helper()
	said := make([]error, len(demands))
	was := make([]snapshot, len(demands))
	for i, d := range demands {
		was[i] = c.snapshot(d.group)
	}
	if err := os.WriteFile(c.failpointFile(), []byte(at), 0o600); err != nil {
		c.T.Fatal(err)
	}
	var wait sync.WaitGroup
	for i, d := range demands {
		wait.Go(func() { _, said[i] = c.Try(d.args...) })
	}
	wait.Wait()
	lives := machine.Retry(10*time.Second, func() error {
		if !c.Exited() {
			return errors.New("the daemon didn't get there")
		}
		return nil
	})
	c.Kill()
	if lives != nil {
		c.T.Fatalf("%s: %v; the verbs said: %v\n%s", name, lives, said, c.Out)
	}
	if err := os.Remove(c.failpointFile()); err != nil {
		c.T.Fatal(err)
	}
	if said[0] == nil && len(demands) == 1 && !strings.HasPrefix(at, "during") { // a moment later it may all have been done
		c.T.Errorf("%s: the verb said that it was done", name)
	}
	c.startWithFailpoint()
	for i, d := range demands {
		c.settle(name, d, was[i], said[i])
	}
	c.checkCapture(name)
}

func (c *crashTest) checkCapture(name string) {
	c.T.Helper()
	doors, members, first := c.watch.Verdict()
	c.ambassadors += doors
	if members > 0 {
		c.T.Errorf("%s: %d packets of members got out: %v", name, members, first)
	}
}

// checkOthers: a group that no crash has anything to do with is as it was, and a capture that saw nothing proves nothing.
func (c *crashTest) checkOthers() {
	c.T.Helper()
	if now := c.Pids("steady"); !maps.Equal(c.steady, now) {
		c.T.Errorf("the other group was %v, and is %v", c.steady, now)
	}
	if c.checkCapture("in the end"); c.ambassadors == 0 {
		c.T.Error("not even the ambassador was seen, so that no member was proves nothing")
	}
}
