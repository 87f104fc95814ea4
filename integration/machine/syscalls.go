package machine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// SystemCalls counts the system calls of running processes, with those of every thread and child
// that they start from here on. They run as fast as without it.
type SystemCalls struct {
	t      testing.TB
	counts []int // a perf event for each thread
	which  netnstest.Calls
}

// CountSystemCalls begins to count those of the processes, until Close or the end of the test. A
// thread that ends meanwhile keeps its count.
func CountSystemCalls(t testing.TB, pids ...int) *SystemCalls {
	t.Helper()
	return count(t, netnstest.AllCalls, pids)
}

// CountRequestedCalls is CountSystemCalls without the calls of the Go runtime itself. It makes more
// of them on a busy host.
func CountRequestedCalls(t testing.TB, pids ...int) *SystemCalls {
	t.Helper()
	return count(t, netnstest.RequestedCalls, pids)
}

func count(t testing.TB, which netnstest.Calls, pids []int) *SystemCalls {
	t.Helper()
	tracepoint, err := netnstest.CallTracepoint()
	if err != nil {
		Need(t, fmt.Sprintf("system calls can't be counted: %v", err))
	}
	c := &SystemCalls{t: t, which: which}
	t.Cleanup(func() { c.Close() })
	for _, pid := range pids {
		c.follow(pid, tracepoint)
	}
	return c
}

// follow attaches to all threads of a process. It lists them again until it has found no new one:
// perf counts the children that a thread starts after it was attached to.
func (c *SystemCalls) follow(pid int, tracepoint uint64) {
	c.t.Helper()
	attached := map[string]bool{}
	for found := true; found; {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			c.t.Fatal(err)
		}
		found = false
		for _, thread := range threads {
			if attached[thread.Name()] {
				continue
			}
			attached[thread.Name()], found = true, true
			tid, _ := strconv.Atoi(thread.Name())
			event, err := netnstest.OpenCalls(tracepoint, tid, c.which)
			if errors.Is(err, unix.ESRCH) { // it has ended
				continue
			}
			if err != nil {
				c.t.Fatal(err)
			}
			c.counts = append(c.counts, event)
		}
	}
}

// Close ends the count and returns it. A second call returns 0.
func (c *SystemCalls) Close() (sum int) {
	c.t.Helper()
	for _, event := range c.counts {
		calls, err := netnstest.ReadCalls(event)
		if err != nil {
			c.t.Error(err)
		}
		sum += calls
		_ = unix.Close(event)
	}
	c.counts = nil
	return sum
}
