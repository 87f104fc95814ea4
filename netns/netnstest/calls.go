package netnstest

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// runtimeCalls are those with which the Go runtime manages threads and memory.
var runtimeCalls = []int{
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_SCHED_YIELD, unix.SYS_EPOLL_PWAIT, unix.SYS_TGKILL, unix.SYS_GETPID, unix.SYS_RT_SIGRETURN,
	unix.SYS_MADVISE, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_CLONE, unix.SYS_SIGALTSTACK, unix.SYS_RT_SIGPROCMASK, unix.SYS_GETTID,
}

// A CallCounter counts the system calls of the test process.
type CallCounter struct {
	t          testing.TB
	tracepoint uint64
}

// NewCallCounter finds out how the kernel counts. For this it mounts something, for a moment. It
// skips the test where the kernel can't count. If CI is set, it fails the test.
func NewCallCounter(t testing.TB) CallCounter {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tracefs", dir, "tracefs", 0, ""); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("mount tracefs: %v", err)
		}
		t.Fatalf("mount tracefs: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	text, err := os.ReadFile(filepath.Join(dir, "events/raw_syscalls/sys_enter/id"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
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
	var others []string
	for _, number := range runtimeCalls {
		others = append(others, fmt.Sprint("id != ", number))
	}
	filter, err := unix.BytePtrFromString(strings.Join(others, " && "))
	if err != nil {
		t.Fatal(err)
	}
	var events []int
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		tid, _ := strconv.Atoi(thread.Name())
		fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{
			Type: unix.PERF_TYPE_TRACEPOINT, Config: c.tracepoint, Bits: unix.PerfBitInherit, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		}, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err != nil {
			continue // it has ended
		}
		defer unix.Close(fd)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.PERF_EVENT_IOC_SET_FILTER, uintptr(unsafe.Pointer(filter))); errno != 0 {
			t.Fatalf("leave out calls of the runtime: %v", errno)
		}
		events = append(events, fd)
	}
	read := func() (sum int) {
		for _, fd := range events {
			var b [8]byte
			if _, err := unix.Read(fd, b[:]); err != nil {
				t.Fatal(err)
			}
			sum += int(binary.NativeEndian.Uint64(b[:]))
		}
		return sum
	}
	before := read()
	f()
	return read() - before - len(events) // those reads of the second round are calls, too
}
