package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/integration/machine"
)

// recoveryTime bounds the wait for what the next daemon makes of a crash. Between two looks lies a pause: each is made by a process or
// some, and several machines share the processors.
const recoveryTime, recoveryPause = 40 * time.Second, 100 * time.Millisecond

// await looks again until f is satisfied.
func (c *crashTest) await(what string, f func() error) {
	c.T.Helper()
	machine.Eventually(c.T, recoveryTime, what, func() error {
		err := f()
		if err != nil {
			time.Sleep(recoveryPause)
		}
		return err
	})
}

// A request is something that is asked of a daemon.
type request struct {
	group   string
	args    []string     // the verb
	text    string       // what the group's file is in the end; empty: gone
	passing bool         // it is another one before that, and was that one before
	met     func() error // what else is so in the end, where there is anything
}

// A snapshot is what there is of a group.
type snapshot struct {
	text       string // its file; empty: none
	generation int
	pids       map[string]uint32
}

func (c *crashTest) snapshot(group string) snapshot {
	c.T.Helper()
	text, err := os.ReadFile(filepath.Join(c.Groups, group+".hcl"))
	if errors.Is(err, fs.ErrNotExist) {
		return snapshot{}
	}
	if err != nil {
		c.T.Fatal(err)
	}
	return snapshot{text: string(text), generation: c.Status(group).Generation, pids: c.Pids(group)}
}

// settle sees what has become of a demand whose verb said that: all of it is there, or nothing. Then it is made again, where it has
// to be, and met.
func (c *crashTest) settle(name string, d request, was snapshot, said error) {
	c.T.Helper()
	name += ", " + d.group
	now := c.snapshot(d.group)
	taken := now.text == d.text
	if d.passing {
		taken = now.generation > was.generation
	}
	switch {
	case taken:
	case now.text != was.text:
		c.T.Errorf("%s: its file is neither what it was nor what was asked for:\n%s", name, now.text)
	case said == nil:
		c.T.Errorf("%s: the verb said that it was done, and it is not", name)
	default:
		c.untouched(name, d.group, was)
		_, _ = c.Try(d.args...) // of a job that has failed it says so
	}
	if d.text == "" {
		c.gone(name, d.group)
		return
	}
	c.await(name+": the next daemon makes what was asked for", d.met)
}

// untouched says that nothing has been done of what was not taken up.
func (c *crashTest) untouched(name, group string, was snapshot) {
	c.T.Helper()
	if was.text == "" {
		c.gone(name+", which was not taken up", group)
		return
	}
	if now := c.Pids(group); !maps.Equal(was.pids, now) {
		c.T.Errorf("%s: nothing was taken up; and it was %v, and is %v", name, was.pids, now)
	}
}

// gone waits until nothing is left of a group.
func (c *crashTest) gone(name, group string) {
	c.T.Helper()
	c.await(name+": the next daemon removes the group", func() error {
		if left := slices.Concat(c.LeftOf(group), c.LeftInContainerd(group+".")); len(left) > 0 {
			return fmt.Errorf("left: %s", strings.Join(left, ", "))
		}
		if diff := cmp.Diff(c.before, c.HostNetwork(c.T)); diff != "" {
			return fmt.Errorf("the host's network (-before +now):\n%s", diff)
		}
		return nil
	})
}

// lines counts what a group's containers have written into a file of its persistent volume: one line each time that they ran.
func (c *crashTest) lines(group, file string) int {
	text, _ := os.ReadFile(filepath.Join(c.Root, "state", "volumes", group, "keep", file))
	return strings.Count(string(text), "\n")
}
