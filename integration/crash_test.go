package integration

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The newest containerd gets a third of the crashes, in turn: what differs is not the daemon.
var everyCrash = flag.Bool("every-crash", false, "TestCrashPoints also with the newest containerd at every point")

// TestCrashPoints kills the daemon before, within and after whatever it does to a group, and between any two of the changes that it
// makes to its files. What it was asked for is then there wholly, or not at all; the next daemon makes it so, leaves nothing behind
// and touches no other group; and at no time gets a member out.
func TestCrashPoints(t *testing.T) {
	for name, server := range servers(t) {
		for _, o := range ordeals {
			t.Run(name+"/"+o.name, func(t *testing.T) {
				t.Parallel() // most of it is waiting
				c := newCrasher(t, server)
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

// A crasher is a machine whose daemon is killed at a point, again and again.
type crasher struct {
	*machine
	watch  *watch
	doors  int
	steady map[string]uint32
	before []string // what the host's network is with no other group than the steady one
}

func newCrasher(t *testing.T, server string) *crasher {
	m := newIdleMachine(t, server)
	c := &crasher{machine: m}
	c.startArmed()
	c.watch = newWatch(t, m.host)
	m.apply("steady.hcl", fmt.Sprintf(steady, attackImage))
	c.steady = m.pids("steady")
	m.run(c.brittle(1).args...) // the host's own part is made with the first group
	m.run("rm", "--volumes", "brittle")
	c.before = m.hostState(t)
	return c
}

// startArmed starts a daemon that crashes as soon as a file says where.
func (c *crasher) startArmed() { c.start("SALLYPORT_CRASH=" + c.armed()) }

func (c *crasher) armed() string { return filepath.Join(c.root, "crash") }

// round is a whole life of the ordeal's groups, with a crash in each phase: at the nth of its points, counted around.
func (c *crasher) round(o ordeal, n int) {
	c.t.Helper()
	for _, p := range o.phases {
		at := p.at[n%len(p.at)]
		c.crash(p.name+", "+at, at, p.demands(c, n))
	}
}

// crash makes demands of a daemon that kills itself meanwhile, all at once, then starts the next, and sees to it that each is met.
func (c *crasher) crash(name, at string, demands []demand) {
	c.t.Helper()
	said := make([]error, len(demands))
	was := make([]sight, len(demands))
	for i, d := range demands {
		was[i] = c.sight(d.group)
	}
	if err := os.WriteFile(c.armed(), []byte(at), 0o600); err != nil {
		c.t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i, d := range demands {
		wait.Go(func() { _, said[i] = c.try(d.args...) })
	}
	wait.Wait()
	lives := retry(10*time.Second, func() error {
		if !c.exited() {
			return errors.New("the daemon didn't get there")
		}
		return nil
	})
	c.kill()
	if lives != nil {
		c.t.Fatalf("%s: %v; the verbs said: %v\n%s", name, lives, said, c.out)
	}
	if err := os.Remove(c.armed()); err != nil {
		c.t.Fatal(err)
	}
	if said[0] == nil && len(demands) == 1 && !strings.HasPrefix(at, "during") { // a moment later it may all have been done
		c.t.Errorf("%s: the verb said that it was done", name)
	}
	c.startArmed()
	for i, d := range demands {
		c.settle(name, d, was[i], said[i])
	}
	c.judge(name)
}

func (c *crasher) judge(name string) {
	c.t.Helper()
	doors, members, first := c.watch.verdict()
	c.doors += doors
	if members > 0 {
		c.t.Errorf("%s: %d packets of members got out: %v", name, members, first)
	}
}

// checkOthers: a group that no crash has anything to do with is as it was, and a capture that saw nothing proves nothing.
func (c *crasher) checkOthers() {
	c.t.Helper()
	if now := c.pids("steady"); !equal(c.steady, now) {
		c.t.Errorf("the other group was %v, and is %v", c.steady, now)
	}
	if c.judge("in the end"); c.doors == 0 {
		c.t.Error("not even the ambassador was seen, so that no member was proves nothing")
	}
}
