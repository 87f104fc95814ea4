package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SystemCalls counts the system calls of running processes, with those of every thread and child
// that they start from here on. They run as fast as without it.
type SystemCalls struct {
	t      testing.TB
	counts []int // a perf event for each thread
}

// CountSystemCalls begins to count those of the processes, until Close or the end of the test. A
// thread that ends meanwhile keeps its count.
func CountSystemCalls(t testing.TB, pids ...int) *SystemCalls {
	t.Helper()
	tracepoint, err := tracepointID("raw_syscalls/sys_enter")
	if err != nil {
		Need(t, fmt.Sprintf("system calls can't be counted: %v", err))
	}
	c := &SystemCalls{t: t}
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
			event, err := unix.PerfEventOpen(&unix.PerfEventAttr{
				Type: unix.PERF_TYPE_TRACEPOINT, Config: tracepoint, Bits: unix.PerfBitInherit,
				Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
			}, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
			if errors.Is(err, unix.ESRCH) { // it has ended
				continue
			}
			if err != nil {
				c.t.Fatal(os.NewSyscallError("perf_event_open", err))
			}
			c.counts = append(c.counts, event)
		}
	}
}

// Close ends the count and returns it. A second call returns 0.
func (c *SystemCalls) Close() (sum int) {
	c.t.Helper()
	buf := make([]byte, 8)
	for _, event := range c.counts {
		if _, err := unix.Read(event, buf); err != nil {
			c.t.Error(os.NewSyscallError("read of a perf event", err))
		}
		sum += int(binary.NativeEndian.Uint64(buf))
		_ = unix.Close(event)
	}
	c.counts = nil
	return sum
}

// tracepointID returns the number of a tracepoint. It mounts tracefs where no path leads, since a
// host need not have it mounted.
func tracepointID(name string) (uint64, error) {
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return 0, os.NewSyscallError("fsopen of tracefs", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return 0, os.NewSyscallError("fsconfig of tracefs", err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("fsmount of tracefs", err)
	}
	defer unix.Close(mount)
	text, err := os.ReadFile(filepath.Join(fmt.Sprintf("/proc/self/fd/%d/events", mount), name, "id"))
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}
