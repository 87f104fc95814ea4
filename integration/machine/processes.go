package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ResidentMiB returns the VmRSS of a process in MiB.
func ResidentMiB(b testing.TB, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kib float64
	fmt.Sscan(rest, &kib)
	return kib / 1024
}

// SharedMiB returns the memory of processes in MiB, each with its share of what it has together
// with others (PSS).
func SharedMiB(b testing.TB, pids ...int) (sum float64) {
	b.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "\nPss:")
		var kib float64
		fmt.Sscan(rest, &kib)
		sum += kib / 1024
	}
	return sum
}

// ProcessorTime returns how long processes have run so far, with the threads of theirs that have
// ended.
func ProcessorTime(b testing.TB, pids ...int) (sum time.Duration) {
	b.Helper()
	for _, pid := range pids {
		// The clock that clock_getcpuclockid(3) makes: CPUCLOCK_SCHED of all threads.
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
			b.Fatal(os.NewSyscallError("clock_gettime of a process", err))
		}
		sum += time.Duration(t.Nano())
	}
	return sum
}

// Processes lists the processes whose command line contains a word, except this one.
func Processes(word string) (found []string) {
	all, _ := fs.Glob(os.DirFS("/proc"), "[0-9]*")
	for _, pid := range all {
		line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		if strings.Contains(string(line), word) && pid != fmt.Sprint(os.Getpid()) {
			found = append(found, "process "+pid+": "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// KillContainerd kills the daemon's containerd and waits for the next.
func (m *Machine) KillContainerd() {
	m.T.Helper()
	pid := m.Containerd()
	unix.Kill(pid, unix.SIGKILL)
	Eventually(m.T, time.Minute, "there is a containerd again", func() error {
		if now := m.Containerd(); now == 0 || now == pid {
			return fmt.Errorf("process %d", now)
		}
		return nil
	})
}

// Containerd returns the process of the daemon's containerd, 0 if there is none.
func (m *Machine) Containerd() (pid int) {
	for _, p := range Processes(filepath.Join(m.Root, "run", "containerd")) {
		if strings.Contains(p, "containerd --config") {
			fmt.Sscanf(p, "process %d", &pid)
		}
	}
	return pid
}

// OutputProcess waits for the process that bounds the output, and returns it.
func (m *Machine) OutputProcess() (pid int) {
	m.T.Helper()
	Eventually(m.T, time.Minute, "there is an output process", func() error {
		for _, p := range Processes(filepath.Join(m.Root, "log")) {
			if strings.Contains(p, "sallyport output") {
				_, err := fmt.Sscanf(p, "process %d", &pid)
				return err
			}
		}
		return errors.New("there is none")
	})
	return pid
}

// Dump ends the daemon with a list of its goroutines, and returns what it printed.
func (m *Machine) Dump() string {
	m.T.Helper()
	if err := m.Daemon.Process.Signal(syscall.SIGQUIT); err != nil {
		m.T.Fatal(err)
	}
	_ = m.Daemon.Wait()
	m.Daemon = nil
	return m.Out.String()
}

// Shims lists the processes of this instance's shims.
func (m *Machine) Shims() (pids []int) {
	for _, p := range Processes(m.Root) {
		var pid int
		if strings.Contains(p, "containerd-shim-runc-v2 ") {
			fmt.Sscanf(p, "process %d", &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// ShimsOf lists the processes of a group's shims.
func (m *Machine) ShimsOf(group string) (pids []int) {
	for _, p := range Processes(m.Root) {
		var pid int
		if strings.Contains(p, "containerd-shim-runc-v2 ") && strings.Contains(p, "-id "+group+".") {
			fmt.Sscanf(p, "process %d", &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// FreezeContainerd stops the daemon's containerd. The returned function lets it go on.
func (m *Machine) FreezeContainerd(t testing.TB) (thaw func()) {
	t.Helper()
	found := regexp.MustCompile(`msg="started a private containerd".* pid=(\d+)`).FindStringSubmatch(m.Out.String())
	if found == nil {
		t.Fatalf("no containerd in what the daemon said:\n%s", m.Out)
	}
	pid, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw = sync.OnceFunc(func() { syscall.Kill(pid, syscall.SIGCONT) })
	t.Cleanup(thaw)
	return thaw
}
