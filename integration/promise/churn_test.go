package promise

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

const churnTitle = "7. Over starts, restarts, kills and flushes"

// `make soak` raises these. Each slice does its share of everything, on a machine of its own.
var (
	starts   = flag.Int("starts", 32, "group starts of TestPromiseChurn")
	restarts = flag.Int("restarts", 32, "ambassador restarts of TestPromiseChurn")
	kills    = flag.Int("kills", 6, "daemon kills of TestPromiseChurn")
	parts    = flag.Int("slices", 1, "parts that TestPromiseChurn is done in")
	churners = flag.Int("churners", 4, "groups that come and go at the same time in TestPromiseChurn")
)

// TestPromiseChurn is class 7. Members send to the victim all the time. Meanwhile groups start and
// are removed, ambassadors are restarted, stopped and killed, the daemon and containerd are killed,
// and the host's tables are flushed. The capture sees every ambassador, and never a member.
func TestPromiseChurn(t *testing.T) {
	s, begin := newSection(t, churnTitle), time.Now()
	var all counts
	seen := map[string]bool{}
	for n := range *parts {
		share := func(of int) int64 { return int64(of*(n+1) / *parts - of*n / *parts) }
		t.Run(fmt.Sprintf("slice %d of %d", n+1, *parts), func(t *testing.T) {
			c := newChurn(t, &all)
			c.phase(s, seen, "daemon killed at uneven moments", func() error { return c.killDaemon(share(*kills)) })
			c.phase(s, seen, "group started, ambassador restarted, stopped, killed", func() error { return c.until(share(*starts), share(*restarts)) })
			c.phase(s, seen, "containerd killed", c.killContainerd)
			c.phase(s, seen, "the host's tables flushed", c.flushHost)
			c.withoutRules()
		})
		t.Logf("after %v: %d group starts, %d ambassador restarts, %d daemon kills with connect loops running; %d packets of members; %d rounds refused and done again",
			time.Since(begin).Round(time.Second), all.starts.Load(), all.restarts.Load(), all.kills.Load(), all.packets.Load(), all.refused.Load())
	}
}

// A churn is a machine with groups that come and go.
type churn struct {
	*machine.Machine
	watch  *machine.Watch
	groups []*churner
	done   *counts // with what other slices did, which is:

	startsBefore, restartsBefore int64
}

func newChurn(t testing.TB, done *counts) *churn {
	t.Helper()
	m := machine.New(t, "")
	c := &churn{Machine: m, watch: machine.NewWatch(t, m.Host), done: done, startsBefore: done.starts.Load(), restartsBefore: done.restarts.Load()}
	for n := range *churners {
		c.groups = append(c.groups, newChurner(m, n, c.watch, done))
	}
	return c
}

// phase does something, and then asks the watch for its verdict. It gives the same row in every
// slice.
func (c *churn) phase(s *section, seen map[string]bool, what string, do func() error) {
	c.T.Helper()
	begin := time.Now()
	if err := do(); err != nil {
		c.T.Fatalf("%s: %v", what, err)
	}
	doors, members, first := c.watch.Verdict()
	c.done.packets.Add(int64(members))
	c.T.Logf("%s: %d frames of ambassadors, %d of members, %v", what, doors, members, time.Since(begin).Round(time.Millisecond))
	if doors == 0 {
		c.T.Errorf("%s: not even an ambassador was seen, so this proves nothing", what)
	}
	r := row{technique: what, family: "v4, v6", who: "app, from its first instruction", expected: nothing, seen: nothing, control: "the ambassador, all along; the app itself without rules"}
	if members > 0 {
		r.seen = frames
		c.T.Errorf("%s: %d packets of members got out: %v", what, members, first)
	}
	if !seen[what] || r.seen != nothing {
		seen[what] = true
		s.add(r, first)
	}
}

// until runs rounds until this slice has had so many starts and restarts, including those between
// kills. Each group has at least one round. A round that was refused is logged and repeated:
// packets are judged here.
func (c *churn) until(starts, restarts int64) error {
	return c.together(func(x *churner) error {
		for first := true; first || c.done.starts.Load()-c.startsBefore < starts || c.done.restarts.Load()-c.restartsBefore < restarts; first = false {
			err := x.round()
			if err == nil {
				continue
			}
			c.done.refused.Add(1)
			c.T.Logf("a round was refused: %v", err)
			if err := machine.Retry(time.Minute, x.round); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *churn) together(f func(*churner) error) error {
	errs := make(chan error, len(c.groups))
	for _, x := range c.groups {
		go func() { errs <- f(x) }()
	}
	var first error
	for range c.groups {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// killDaemon kills the daemon at moments spread over the time that a start takes. Half of the
// groups run on meanwhile, and have the same processes in the end. The others come and go, and
// their errors come from the kills. After each kill all of these have a whole round before the
// next.
func (c *churn) killDaemon(times int64) error {
	steady, others := c.groups[:len(c.groups)/2], c.groups[len(c.groups)/2:]
	before := map[*churner]map[string]int{}
	for _, x := range steady {
		if err := x.start(); err != nil {
			return err
		}
		pids, err := x.pids()
		if err != nil {
			return err
		}
		before[x] = pids
	}
	stop := keepOn(others)
	for n := range times {
		time.Sleep(time.Duration(n*37%211) * time.Millisecond)
		c.Kill()
		for _, x := range steady {
			x.watch.Ambassador(x.n)
			if err := x.seen(); err != nil {
				return err
			}
		}
		c.Start()
		c.done.kills.Add(1)
		if err := livesAgain(others); err != nil {
			return err
		}
	}
	stop()
	for x, was := range before {
		if now, err := x.pids(); err != nil || !maps.Equal(was, now) {
			return fmt.Errorf("%s was %v, and after %d kills of the daemon it is %v (%v)", x.name, was, times, now, err)
		}
	}
	return c.together(func(x *churner) error { return machine.Retry(time.Minute, x.round) })
}

// livesAgain waits until each group has had a whole round from now on.
func livesAgain(groups []*churner) error {
	for _, x := range groups {
		before := x.rounds.Load()
		if err := machine.Retry(time.Minute, func() error {
			if x.rounds.Load() == before {
				return errors.New("it has no whole life any more")
			}
			return nil
		}); err != nil {
			return fmt.Errorf("%s after a kill of the daemon: %w; last it was told: %v", x.name, err, x.told.Load())
		}
	}
	return nil
}

// keepOn lets groups come and go until stop is called, whatever errors they get.
func keepOn(groups []*churner) (stop func()) {
	ended := make(chan struct{})
	var wait sync.WaitGroup
	for _, x := range groups {
		wait.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					if err := x.round(); err != nil {
						x.told.Store(err.Error())
						time.Sleep(10 * time.Millisecond) // no daemon may run
					}
				}
			}
		})
	}
	return func() { close(ended); wait.Wait() }
}

// killContainerd kills the daemon's containerd while groups run. It comes back, and the groups have
// not been touched.
func (c *churn) killContainerd() error {
	if err := c.together((*churner).start); err != nil {
		return err
	}
	c.Machine.KillContainerd()
	return c.together(func(x *churner) error { return machine.Retry(time.Minute, x.restart) })
}

// flushHost removes all tables of the host again and again, while the groups go on.
func (c *churn) flushHost() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for ctx.Err() == nil {
		machine.DropTables(c.T, c.Host)
		if err := c.together((*churner).seen); err != nil {
			return err
		}
	}
	return nil
}

// withoutRules is the control for the members. They have sent packets all the time, and the watch
// sees them once the rules are gone.
func (c *churn) withoutRules() {
	c.T.Helper()
	for _, x := range c.groups {
		c.watch.Verdict()
		c.withoutRulesFor(x)
		c.Run("rm", x.name)
	}
}

func (c *churn) withoutRulesFor(x *churner) {
	c.T.Helper()
	ns := c.Netns(x.name)
	defer c.Freeze()()
	machine.Eventually(c.T, time.Minute, "the member of "+x.name+" is seen when nothing stops it", func() error {
		machine.DropTables(c.T, ns)
		machine.DropFence(c.T, c.CgroupV2(x.name+"/members"))
		if _, members, _ := c.watch.Verdict(); members == 0 {
			return fmt.Errorf("it isn't")
		}
		return nil
	})
}
