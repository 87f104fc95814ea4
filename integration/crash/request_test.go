package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/integration/machine"
)

// recoveryTime is how long the next daemon may take to recover. recoveryPause lies between two
// checks. Each check starts processes, and several machines share the processors.
const recoveryTime, recoveryPause = 40 * time.Second, 100 * time.Millisecond

// await calls f until it returns nil.
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

// A request is something that a daemon is asked to do.
type request struct {
	group     string
	args      []string     // the command line
	text      string       // of the group's file in the end; empty if the group is to be gone
	transient bool         // the file changes in between, and then goes back
	later     bool         // the crash may come after the command has ended well
	met       func() error // whether the request is fulfilled; may be nil if text is empty
}

// A snapshot is the state of a group.
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
	now := c.Status(group)
	return snapshot{text: string(text), generation: now.Generation, pids: machine.PidsOf(now)}
}

// settle checks what became of a request whose command ended with this error: it was taken up
// wholly, or not at all. If it was not, settle makes it again, and waits until it is fulfilled.
func (c *crashTest) settle(name string, d request, was snapshot, said error) {
	c.T.Helper()
	name += ", " + d.group
	now := c.snapshot(d.group)
	taken := now.text == d.text
	if d.transient {
		taken = now.generation > was.generation
	}
	switch {
	case taken:
	case now.text != was.text:
		c.T.Errorf("%s: its file is neither what it was nor what was requested:\n%s", name, now.text)
	case said == nil:
		c.T.Errorf("%s: the command succeeded, and the request is not fulfilled", name)
	default:
		c.untouched(name, d.group, was)
		_, _ = c.Try(d.args...) // it fails if the job does
	}
	if d.text == "" {
		c.gone(name, d.group)
		return
	}
	c.await(name+": the next daemon fulfils the request", d.met)
}

// untouched checks that a request that was not taken up had no effect.
func (c *crashTest) untouched(name, group string, was snapshot) {
	c.T.Helper()
	if was.text == "" {
		c.gone(name+", which was not taken up", group)
		return
	}
	if now := c.Pids(group); !maps.Equal(was.pids, now) {
		c.T.Errorf("%s: nothing was taken up, but the processes were %v and are %v", name, was.pids, now)
	}
}

// gone waits until nothing is left of a group.
func (c *crashTest) gone(name, group string) {
	c.T.Helper()
	c.await(name+": the next daemon removes the group", func() error {
		left := c.LeftOf(group)
		if len(left) == 0 {
			left = c.LeftInContainerd(group + ".")
		}
		if len(left) > 0 {
			return fmt.Errorf("left: %s", strings.Join(left, ", "))
		}
		if diff := cmp.Diff(c.before, c.HostNetwork(c.T)); diff != "" {
			return fmt.Errorf("the host's network (-before +now):\n%s", diff)
		}
		return nil
	})
}

// lines counts the lines that a group's containers have written into a file of its persistent
// volume. Each writes one each time it runs.
func (c *crashTest) lines(group, file string) int {
	text, _ := os.ReadFile(filepath.Join(c.Root, "state", "volumes", group, "keep", file))
	return strings.Count(string(text), "\n")
}
