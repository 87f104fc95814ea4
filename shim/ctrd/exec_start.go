package ctrd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
)

// errStartEnded is the cause of a start that was ended. A container can hold a start up: its root
// may swap a file that the runtime opens, or stop the process that the runtime has in it.
var errStartEnded = &hint.Error{
	Err:  errors.New("the process did not start in time, and its start was ended"),
	Hint: "the host is busy, or the container holds the start up: see what runs in the container, and try again",
}

// startLimits bound how long exec'd processes take to start, by group of containers that share a
// shim. The bound is lower while the shim is needed for something else. The zero value is ready.
type startLimits struct {
	mu     sync.Mutex
	groups map[string]*groupStarts
}

type groupStarts struct {
	lowered int // how many calls want the bound lower now
	running map[*startLimit]struct{}
}

type startLimit struct {
	due    time.Time
	timer  *time.Timer
	inStop time.Duration // how long it has while the bound is lower
}

// limit returns a context for a start. It ends with ctx, or with errStartEnded when the start has
// taken longer than d, or than inStop while the bound is lower. The caller calls done at the end.
func (l *startLimits) limit(ctx context.Context, group string, d, inStop time.Duration) (begin context.Context, done func()) {
	begin, cancel := context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.group(group)
	if g.lowered > 0 {
		d = min(d, inStop)
	}
	s := &startLimit{time.Now().Add(d), time.AfterFunc(d, func() { cancel(errStartEnded) }), inStop}
	g.running[s] = struct{}{}
	return begin, func() {
		cancel(nil)
		l.mu.Lock()
		defer l.mu.Unlock()
		s.timer.Stop()
		delete(g.running, s)
		l.leave(group)
	}
}

// lower bounds each start of a group by what it has in a stop, until raise is called. It also
// bounds those that run, from now on.
func (l *startLimits) lower(group string) (raise func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.group(group)
	g.lowered++
	for s := range g.running {
		if time.Until(s.due) > s.inStop {
			s.due = time.Now().Add(s.inStop)
			s.timer.Reset(s.inStop)
		}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		g.lowered--
		l.leave(group)
	}
}

func (l *startLimits) group(name string) *groupStarts {
	g := l.groups[name]
	if g == nil {
		g = &groupStarts{running: map[*startLimit]struct{}{}}
		if l.groups == nil {
			l.groups = map[string]*groupStarts{}
		}
		l.groups[name] = g
	}
	return g
}

func (l *startLimits) leave(name string) {
	if g := l.groups[name]; g.lowered == 0 && len(g.running) == 0 {
		delete(l.groups, name)
	}
}

// runtimeEnds is how long a runtime may take to end by itself once its children are killed.
const runtimeEnds = 5 * time.Second

// endStarts ends the runtime that starts a process, also one that its shim has yet to run. It
// returns when ctx ends, and reports whether it killed anything.
func (c *Client) endStarts(ctx context.Context, f execFolder) (killed bool) {
	for {
		killed = c.endStart(ctx, f) || killed
		if pause(ctx, lookAgain) != nil {
			return killed
		}
	}
}

// endStart ends the runtime that starts a process, if one does. Its children are killed: one of
// them is in the container, and may wait there for ever. Then the runtime reports to its shim that
// the start is over. endStart returns when that has ended or ctx does. It reports whether it
// killed anything.
func (c *Client) endStart(ctx context.Context, f execFolder) (killed bool) {
	for began := time.Now(); ; {
		pid, children := c.starter(f)
		if pid == 0 {
			return killed
		}
		if len(children) == 0 && time.Since(began) > runtimeEnds {
			children = []int{pid}
		}
		for _, p := range children {
			killed = c.killStarter(p, f) || killed
		}
		if pause(ctx, lookAgain) != nil {
			return killed
		}
	}
}

// starter finds the runtime that starts a process, and its children. A pid of 0 means that there is
// none.
func (c *Client) starter(f execFolder) (pid int, children []int) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	parents := map[int][]int{}
	for _, dir := range all {
		p, _ := strconv.Atoi(filepath.Base(dir))
		up := parent(p)
		parents[up] = append(parents[up], p)
		if c.startsProcess(p, f) {
			pid = p
		}
	}
	if pid == 0 { // its children would be the kernel's
		return 0, nil
	}
	return pid, parents[pid]
}

// startsProcess reports whether pid is the runtime that starts a process, as containerd's shim
// calls it. A program in a container can't pretend to be one: it is in another PID namespace.
func (c *Client) startsProcess(pid int, f execFolder) bool {
	line, _ := os.ReadFile(procFile(pid, "cmdline"))
	args := strings.Split(string(line), "\x00")
	i := slices.Index(args, "--pid-file")
	if i < 0 || i+1 == len(args) || !slices.Contains(args[:i], "exec") || !slices.Contains(args[i:], f.container) {
		return false
	}
	if !strings.HasSuffix(args[i+1], filepath.Join("/", c.cfg.Layout.Namespace, f.container, f.exec+".pid")) {
		return false
	}
	shim := parent(pid)
	own, err := pidNamespace(shim)
	if err != nil || c.servedBy(shim) == "" {
		return false
	}
	in, err := pidNamespace(pid)
	return err == nil && in == own
}

// killStarter kills the runtime that starts a process, or a child of it.
func (c *Client) killStarter(pid int, f execFolder) (killed bool) {
	held, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(held)
	if !c.startsProcess(pid, f) && !c.startsProcess(parent(pid), f) { // its number is another's by now
		return false
	}
	return unix.PidfdSendSignal(held, unix.SIGKILL, nil, 0) == nil
}

func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }
