package bound

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrHeld means that another process bounds the output in a folder.
var ErrHeld = errors.New("another process bounds the output")

// Lock makes this process the one that bounds the output in a folder, until the file that it
// returns is closed. The lock is on the folder itself, so it needs no room on a full disk, and
// nothing that is deleted takes it away.
func Lock(logDir string) (*os.File, error) {
	dir, err := os.Open(logDir)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrHeld
	}
	if err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("lock %s: %w", logDir, err)
	}
	return dir, nil
}

// Holder returns the process that bounds the output in a folder, or 0 if there is none.
func Holder(logDir string) (pid int, err error) {
	folder, err := os.Stat(logDir)
	if err != nil {
		return 0, err
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0, err
	}
	inode := strconv.FormatUint(folder.Sys().(*syscall.Stat_t).Ino, 10)
	for line := range strings.Lines(string(locks)) {
		// Such as "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF" (proc_locks(5)). The device is
		// not always that of stat(2), so it does not count.
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], ":"+inode) {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 && hasOpen(pid, folder) {
			return pid, nil
		}
	}
	return 0, nil
}

// hasOpen reports whether a process has a folder open.
func hasOpen(pid int, folder os.FileInfo) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if info, err := os.Stat(fd); err == nil && os.SameFile(info, folder) {
			return true
		}
	}
	return false
}
