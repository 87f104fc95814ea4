package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crashTime bounds the wait for what the next daemon makes of a crash. Between two looks lies a pause: each is made by a process or
// some, and several machines share the processors.
const crashTime, crashPause = 40 * time.Second, 100 * time.Millisecond

// await looks again until f is satisfied.
func (c *crasher) await(what string, f func() error) {
	c.t.Helper()
	eventually(c.t, crashTime, what, func() error {
		err := f()
		if err != nil {
			time.Sleep(crashPause)
		}
		return err
	})
}

// A demand is something that is asked of a daemon.
type demand struct {
	group   string
	args    []string     // the verb
	text    string       // what the group's file is in the end; empty: gone
	passing bool         // it is another one before that, and was that one before
	met     func() error // what else is so in the end, where there is anything
}

// A sight is what there is of a group.
type sight struct {
	text       string // its file; empty: none
	generation int
	pids       map[string]uint32
}

func (c *crasher) sight(group string) sight {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.groups, group+".hcl"))
	if errors.Is(err, fs.ErrNotExist) {
		return sight{}
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return sight{text: string(text), generation: c.status(group).Generation, pids: c.pids(group)}
}

// settle sees what has become of a demand whose verb said that: all of it is there, or nothing. Then it is made again, where it has
// to be, and met.
func (c *crasher) settle(name string, d demand, was sight, said error) {
	c.t.Helper()
	name += ", " + d.group
	now := c.sight(d.group)
	taken := now.text == d.text
	if d.passing {
		taken = now.generation > was.generation
	}
	switch {
	case taken:
	case now.text != was.text:
		c.t.Errorf("%s: its file is neither what it was nor what was asked for:\n%s", name, now.text)
	case said == nil:
		c.t.Errorf("%s: the verb said that it was done, and it is not", name)
	default:
		c.untouched(name, d.group, was)
		_, _ = c.try(d.args...) // of a job that has failed it says so
	}
	if d.text == "" {
		c.gone(name, d.group)
		return
	}
	c.await(name+": the next daemon makes what was asked for", d.met)
}

// untouched says that nothing has been done of what was not taken up.
func (c *crasher) untouched(name, group string, was sight) {
	c.t.Helper()
	if was.text == "" {
		c.gone(name+", which was not taken up", group)
		return
	}
	if now := c.pids(group); !equal(was.pids, now) {
		c.t.Errorf("%s: nothing was taken up; and it was %v, and is %v", name, was.pids, now)
	}
}

// gone waits until nothing is left of a group.
func (c *crasher) gone(name, group string) {
	c.t.Helper()
	c.await(name+": the next daemon removes the group", func() error {
		if left := slices.Concat(c.leftOf(group), c.leftInContainerd(group+".")); len(left) > 0 {
			return fmt.Errorf("left: %s", strings.Join(left, ", "))
		}
		if diff := cmp.Diff(c.before, c.hostState(c.t)); diff != "" {
			return fmt.Errorf("the host's network (-before +now):\n%s", diff)
		}
		return nil
	})
}

// lines counts what a group's containers have written into a file of its persistent volume: one line each time that they ran.
func (c *crasher) lines(group, file string) int {
	text, _ := os.ReadFile(filepath.Join(c.root, "state", "volumes", group, "keep", file))
	return strings.Count(string(text), "\n")
}
