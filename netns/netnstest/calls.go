package netnstest

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

// Calls are the system calls that are counted.
type Calls int

const (
	AllCalls Calls = iota
	// RequestedCalls are all but those of the Go runtime itself. It makes more of them on a busy
	// host.
	RequestedCalls
)

// runtimeCalls are those with which the Go runtime manages threads and memory.
var runtimeCalls = []int{
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD, unix.SYS_EPOLL_PWAIT, unix.SYS_TGKILL, unix.SYS_GETPID, unix.SYS_RT_SIGRETURN,
	unix.SYS_MADVISE, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_CLONE, unix.SYS_SIGALTSTACK, unix.SYS_RT_SIGPROCMASK, unix.SYS_GETTID,
	unix.SYS_RESTART_SYSCALL, unix.SYS_TIMER_SETTIME,
}

// A CallCounter counts the system calls of the test process.
type CallCounter struct {
	t          testing.TB
	tracepoint uint64
}

// NewCallCounter finds out how the kernel counts. It skips the test where the kernel can't count.
// If CI is set, it fails the test.
func NewCallCounter(t testing.TB) CallCounter {
	t.Helper()
	id, err := CallTracepoint()
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return CallCounter{t, id}
}

// Count returns how many system calls all threads of the process make while f runs, but for those
// of the Go runtime itself.
func (c CallCounter) Count(f func()) (calls int) {
	t := c.t
	t.Helper()
	var events []int
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		tid, _ := strconv.Atoi(thread.Name())
		fd, err := OpenCalls(c.tracepoint, tid, RequestedCalls)
		if errors.Is(err, unix.ESRCH) { // it has ended
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		events = append(events, fd)
	}
	read := func() (sum int) {
		for _, fd := range events {
			calls, err := ReadCalls(fd)
			if err != nil {
				t.Fatal(err)
			}
			sum += calls
		}
		return sum
	}
	before := read()
	f()
	return read() - before - len(events) // those reads of the second round are calls, too
}

// CallTracepoint returns the number of the tracepoint that each system call passes. It mounts
// tracefs where no path leads, since a host need not have it mounted.
func CallTracepoint() (uint64, error) {
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
	text, err := os.ReadFile(filepath.Join(fmt.Sprintf("/proc/self/fd/%d/events", mount), "raw_syscalls/sys_enter/id"))
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// OpenCalls begins to count system calls of a thread, and of the children that it starts from here
// on. The caller closes what it returns.
func OpenCalls(tracepoint uint64, tid int, counted Calls) (event int, err error) {
	event, err = unix.PerfEventOpen(&unix.PerfEventAttr{
		Type: unix.PERF_TYPE_TRACEPOINT, Config: tracepoint, Bits: unix.PerfBitInherit, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
	}, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return event, os.NewSyscallError("perf_event_open", err)
	}
	if counted == AllCalls {
		return event, nil
	}
	var others []string
	for _, number := range runtimeCalls {
		others = append(others, fmt.Sprint("id != ", number))
	}
	filter, _ := unix.BytePtrFromString(strings.Join(others, " && ")) // it has no zero byte
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(event), unix.PERF_EVENT_IOC_SET_FILTER, uintptr(unsafe.Pointer(filter))); errno != 0 {
		_ = unix.Close(event)
		return -1, os.NewSyscallError("leave out calls of the runtime", errno)
	}
	return event, nil
}

// ReadCalls returns how many calls were counted so far. It is one system call.
func ReadCalls(event int) (int, error) {
	var b [8]byte
	if _, err := unix.Read(event, b[:]); err != nil {
		return 0, os.NewSyscallError("read of a perf event", err)
	}
	return int(binary.NativeEndian.Uint64(b[:])), nil
}
