package ctrd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	shimtask "github.com/containerd/containerd/api/runtime/task/v3"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
)

// shimAnswers is how long a shim may take to answer a call. On a busy host a new shim takes a
// second. Each Client has a value of its own, which tests shorten.
const shimAnswers = 10 * time.Second

// busyShimAsked is how often a shim that has processes is asked before a further task is made in
// it. While it makes one task it answers no call about another (that of containerd 1.6), and a busy
// host takes many seconds for one.
const busyShimAsked = 3

// endHungShim ends a shim that takes calls and answers none, so that the next task gets another
// shim. A shim whose start was cut off waits for ever for a reader of its log, while containerd
// finds its socket and sends every further task of the group there. Such a shim has started no
// process. A silent shim that has is asked so often, and then left to the operator.
func (c *Client) endHungShim(ctx context.Context, shimGroup string, often int) error {
	var pid, children int
	var err error
	for asked := 0; asked == 0 || children > 0 && asked < often; asked++ {
		if !c.shimListens(shimGroup) {
			return nil
		}
		var answered bool
		if answered, err = c.shimAnswersCall(ctx, shimGroup); answered || ctx.Err() != nil {
			return nil
		}
		pid, children = c.shimProcess(shimGroup)
	}
	switch {
	case pid == 0:
		return fmt.Errorf("the shim of %s doesn't answer, and its process isn't found: %w", shimGroup, err)
	case children > 0:
		return &hint.Error{
			Err:  fmt.Errorf("the shim of %s, process %d, doesn't answer, and has %d processes: %w", shimGroup, pid, children, err),
			Hint: fmt.Sprintf("end it, which ends those too, and they are started again: kill -9 %d", pid),
		}
	}
	c.log.Warn("a shim without a process doesn't answer, ending it", "group", shimGroup, "pid", pid)
	if err := c.endShim(pid); err != nil {
		return fmt.Errorf("end shim %d: %w", pid, err)
	}
	for c.shimListens(shimGroup) {
		if err := pause(ctx, lookAgain); err != nil {
			return err
		}
	}
	return nil
}

// shimAnswersCall reports whether a shim answers within the time of one call, with anything. Else
// err is why not.
func (c *Client) shimAnswersCall(ctx context.Context, shimGroup string) (answers bool, err error) {
	ctx, cancel := c.ctx(ctx, c.shimAnswers)
	defer cancel()
	// Every shim has this method, even for a task that it doesn't know.
	var is shimtask.ConnectResponse
	err = c.callShim(ctx, shimGroup, "Connect", &shimtask.ConnectRequest{ID: shimGroup}, &is)
	if pid := int(is.ShimPid); err == nil && c.servedBy(pid) != "" { // as numbered in our namespace
		c.shims.note(shimGroup, pid)
	}
	return ctx.Err() == nil, err
}

// endShim kills the process if it is still a shim of ours.
func (c *Client) endShim(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if c.servedBy(pid) == "" {
		return nil
	}
	return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
}

// shimProcess finds the group's shim, and counts its child processes. That is the shim at the
// group's socket, and of several the one that began last: it has the path. If none is there, it is
// a shim of the group by its command line, one with the most children, since others may be empty. A
// pid of 0 means that there is none.
func (c *Client) shimProcess(shimGroup string) (pid, children int) {
	shims, all := c.shimProcesses()
	listening, _ := listeningSockets() // without them it goes by the command line
	latest := uint64(0)
	for p := range shims {
		_, _, ticks := processStat(p)
		started, _ := strconv.ParseUint(ticks, 10, 64)
		if started > latest && listensAt(p, listening) == c.shimSocket(shimGroup) {
			pid, children, latest = p, all[p], started
		}
	}
	if pid != 0 {
		return pid, children
	}
	for p, id := range shims {
		ours := shimGroup == hostShim || strings.HasPrefix(id, shimGroup+".")
		if ours && (pid == 0 || all[p] > children) {
			pid, children = p, all[p]
		}
	}
	return pid, children
}

// shimProcesses returns the container that each shim of ours was started for, by process, and how
// many child processes each process has.
func (c *Client) shimProcesses() (shims map[int]string, children map[int]int) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	shims, children = map[int]string{}, map[int]int{}
	for _, dir := range all {
		p, _ := strconv.Atoi(filepath.Base(dir))
		name, parent, _ := processStat(p)
		children[parent]++
		if name != shimName {
			continue // its command line is of no interest
		}
		if id := c.servedBy(p); id != "" {
			shims[p] = id
		}
	}
	return shims, children
}

// commandLine is how many bytes of a process's command line are read. That of a shim is far
// shorter.
const commandLine = 16 << 10

// shimName is the name of a shim's process: 15 bytes of that of its program, as the kernel keeps
// it.
const shimName = "containerd-shim"

// processStat returns a process's name, its parent, and when it was started, in ticks since boot. A
// process that is gone has none of them.
func processStat(pid int) (name string, parent int, started string) {
	s := readStat(pid)
	return s.name, s.parent, s.started
}

// servedBy returns the container that a shim of ours was started for. It returns "" for any other
// process.
func (c *Client) servedBy(pid int) string {
	line, _ := readSmall(procPath(pid, "cmdline"), make([]byte, commandLine))
	args := strings.Split(string(line), "\x00")
	after := func(flag string) string {
		if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
			return args[i+1]
		}
		return ""
	}
	if !strings.HasPrefix(filepath.Base(args[0]), "containerd-shim") || after("-namespace") != c.cfg.Layout.Namespace || after("-address") != c.cfg.Address {
		return ""
	}
	if len(args) > 1 && slices.Contains([]string{"start", "delete"}, args[len(args)-2]) {
		return "" // it starts a shim, or cleans up after one
	}
	return after("-id")
}

// parent returns the parent of a process. It returns 0 if the process is gone.
func parent(pid int) int {
	return readStat(pid).parent
}
