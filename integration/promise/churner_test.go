package promise

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// relentless is a group of one member and an ambassador. The member sends to the victim over both
// families, from its first instruction to its last. The ambassador sends to its own address.
const relentless = `
group "%[2]s" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "loop", "198.51.100.66,2001:db8:51::66", "80", "2ms"]
    stop    { signal = "SIGKILL" }
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "loop", "%[3]s", "80", "5ms"]
    stop    { signal = "SIGKILL" }
  }
}
`

// A churner starts a group, restarts its ambassador and removes the group, over and over. Several
// work at the same time.
type churner struct {
	n      int // which door its ambassador goes for
	turn   int // restarts asked for
	name   string
	bundle group.Bundle
	client *api.Client
	watch  *machine.Watch
	done   *counts

	rounds atomic.Int64 // whole ones
	told   atomic.Value // the last error
}

// counts holds what all churners have done.
type counts struct{ starts, restarts, kills, packets, refused atomic.Int64 }

func newChurner(m *machine.Machine, n int, w *machine.Watch, done *counts) *churner {
	name := fmt.Sprintf("churn%d", n)
	return &churner{
		n: n, name: name, watch: w, done: done,
		bundle: group.Bundle{Name: name + ".hcl", Path: "/nowhere/" + name + ".hcl", HCL: fmt.Appendf(nil, relentless, machine.AttackImage, name, machine.AmbassadorAddr(n))},
		client: m.Client(),
	}
}

// round takes the group through one life, whatever state it was in before. After every start and
// restart it waits until the ambassador is seen.
func (c *churner) round() error {
	for _, step := range []func() error{c.remove, c.start, c.restart, c.remove} {
		if err := step(); err != nil {
			return err
		}
	}
	c.rounds.Add(1)
	return nil
}

// remove removes the group. It is no error if there is none.
func (c *churner) remove() error {
	err := c.call(func(ctx context.Context) error { return c.client.Remove(ctx, c.name, nil) })
	if errors.Is(err, group.ErrNoGroup) {
		return nil
	}
	return err
}

func (c *churner) start() error {
	c.watch.Ambassador(c.n)
	if err := c.call(func(ctx context.Context) error { return c.client.Apply(ctx, []group.Bundle{c.bundle}, nil) }); err != nil {
		return err
	}
	c.done.starts.Add(1)
	return c.seen()
}

// restart ends the ambassador. One time in eight it is killed, and comes back by itself after a
// second. Else the restart command ends it, every other time after SIGSTOP.
func (c *churner) restart() error {
	c.turn++
	switch {
	case c.turn%8 == 0:
		before, err := c.pids()
		if err != nil {
			return err
		}
		unix.Kill(before["amb"], unix.SIGKILL)
		if err := c.back(before); err != nil {
			return err
		}
		c.done.restarts.Add(1)
		return nil
	case c.turn%2 == 0:
		if now, err := c.pids(); err == nil {
			unix.Kill(now["amb"], unix.SIGSTOP)
		}
	}
	if err := c.call(func(ctx context.Context) error { return c.client.Restart(ctx, c.name, "amb", nil) }); err != nil {
		return err
	}
	c.done.restarts.Add(1)
	return c.seen()
}

// back waits until the ambassador that was killed has a successor. Its member must not have been
// touched.
func (c *churner) back(before map[string]int) error {
	var now map[string]int
	if err := machine.Retry(time.Minute, func() (err error) {
		if now, err = c.pids(); err == nil && now["amb"] == before["amb"] {
			err = errors.New("it is still there")
		}
		return err
	}); err != nil {
		return fmt.Errorf("the ambassador of %s didn't come back: %w", c.name, err)
	}
	if now["app"] != before["app"] {
		return fmt.Errorf("the ambassador's death cost the member of %s its life: %v, then %v", c.name, before, now)
	}
	c.watch.Ambassador(c.n)
	return c.seen()
}

// pids maps the group's two containers to their processes. Both have to run.
func (c *churner) pids() (pids map[string]int, err error) {
	err = c.call(func(ctx context.Context) error {
		groups, err := c.client.Status(ctx, c.name)
		if err != nil {
			return err
		}
		pids = map[string]int{}
		for _, x := range groups[0].Containers {
			if x.Task != host.TaskRunning {
				return fmt.Errorf("%s doesn't run", x.Name)
			}
			pids[x.Name] = int(x.PID)
		}
		return nil
	})
	return pids, err
}

// seen waits until the watch has seen the ambassador.
func (c *churner) seen() error {
	if err := machine.Retry(time.Minute, func() error {
		if c.watch.Ambassador(c.n) == 0 {
			return errors.New("not at its door")
		}
		return nil
	}); err != nil {
		return fmt.Errorf("the ambassador of %s: %w", c.name, err)
	}
	return nil
}

func (c *churner) call(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return f(ctx)
}
