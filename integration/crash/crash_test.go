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

// The newest containerd gets an eighth of the crashes, in turn, because the daemon is the same.
var everyCrash = flag.Bool("every-crash", false, "TestCrashPoints also with the newest containerd at every point")

// TestCrashPoints kills the daemon before, during and after everything that it does to a group, and
// between any two of the changes that it makes to its files. The request is then fulfilled wholly
// or not at all. The next daemon fulfils it, leaves nothing behind and touches no other group. At
// no time does a packet of a member get out.
func TestCrashPoints(t *testing.T) {
	for name, server := range machine.Servers(t) {
		for _, o := range scenarios {
			t.Run(name+"/"+o.name, func(t *testing.T) {
				t.Parallel() // most of it is waiting
				c := newCrashTest(t, server)
				for n := range o.rounds() {
					if server == "" || *everyCrash || n%8 == 0 {
						c.round(o, n)
					}
				}
				c.checkOthers()
			})
		}
	}
}

// A crashTest is a machine whose daemon is killed at one point after the other.
type crashTest struct {
	*machine.Machine
	watch       *machine.Watch
	ambassadors int
	steady      map[string]uint32
	before      []string // the host's network when steady is the only group
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

// startWithFailpoint starts a daemon that kills itself as soon as the file names a point.
func (c *crashTest) startWithFailpoint() { c.Start(failpointEnv + "=" + c.failpointFile()) }

// failpointEnv is the variable that names the daemon's file of failpoints.
const failpointEnv = "SALLYPORT_FAILPOINT"

func (c *crashTest) failpointFile() string { return filepath.Join(c.Root, "failpoint") }

// round takes the groups of a scenario through one whole life, with a crash in each phase. That of
// round n comes at the nth point of the phase. A phase with fewer points than others has no crash
// in the last rounds, but with the newest containerd, which has some of the rounds alone.
func (c *crashTest) round(o scenario, n int) {
	c.T.Helper()
	for _, p := range o.phases {
		if at := p.at[n%len(p.at)]; n < len(p.at) || c.Server != "" {
			c.crash(p.name+", "+at, at, p.requests(c, n))
		} else {
			c.fulfil(p.name, p.requests(c, n))
		}
	}
}

// fulfil makes requests without a crash.
func (c *crashTest) fulfil(name string, requests []request) {
	c.T.Helper()
	for _, d := range requests {
		was := c.snapshot(d.group)
		_, said := c.Try(d.args...)
		c.settle(name, d, was, said)
	}
}

// crash makes all requests at once to a daemon that kills itself meanwhile. Then it starts the next
// daemon, and checks that each request is fulfilled.
func (c *crashTest) crash(name, at string, requests []request) {
	c.T.Helper()
	said := make([]error, len(requests))
	was := make([]snapshot, len(requests))
	for i, d := range requests {
		was[i] = c.snapshot(d.group)
	}
	if err := os.WriteFile(c.failpointFile(), []byte(at), 0o600); err != nil {
		c.T.Fatal(err)
	}
	var wait sync.WaitGroup
	for i, d := range requests {
		wait.Go(func() { _, said[i] = c.Try(d.args...) })
	}
	wait.Wait()
	lives := machine.Retry(time.Minute, func() error {
		if !c.Exited() {
			return errors.New("the daemon didn't come to that point")
		}
		return nil
	})
	c.Kill()
	if lives != nil {
		c.T.Fatalf("%s: %v; the commands ended with %v\n%s", name, lives, said, c.Out)
	}
	if err := os.Remove(c.failpointFile()); err != nil {
		c.T.Fatal(err)
	}
	// During a step, all of it may have been done before the daemon died. The history is written
	// when the group has proved itself, which no command waits for.
	if said[0] == nil && len(requests) == 1 && !requests[0].later && !strings.HasPrefix(at, "during") && !strings.Contains(at, "write history") {
		c.T.Errorf("%s: the command succeeded", name)
	}
	c.startWithFailpoint()
	for i, d := range requests {
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

// checkOthers checks that the group without crashes is as it was. A capture that saw no frame at
// all proves nothing, so it must have seen an ambassador.
func (c *crashTest) checkOthers() {
	c.T.Helper()
	if now := c.Pids("steady"); !maps.Equal(c.steady, now) {
		c.T.Errorf("the other group was %v, and is %v", c.steady, now)
	}
	if c.checkCapture("in the end"); c.ambassadors == 0 {
		c.T.Error("not even the ambassador was seen, so that no member was proves nothing")
	}
}
