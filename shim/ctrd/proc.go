package ctrd

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// readSmall reads a file of /proc or of a cgroup into buf, in three system calls. What does not fit
// is left out. [os.ReadFile] makes twice as many, and asks the runtime's poller about the file.
func readSmall(path string, buf []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return buf[:n], nil
}

// procPath returns the path of a file about a process.
func procPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// A procStat has what /proc/PID/stat has of a process. That of one that is gone is zero.
type procStat struct {
	name    string
	state   byte // such as 'R', 'S', and 'Z' for one that has ended and was not waited for
	parent  int
	session int
	started string // in ticks since boot
}

func readStat(pid int) (s procStat) {
	var buf [1024]byte // a name has 64 bytes at most, and the rest some 50 numbers
	text, _ := readSmall(procPath(pid, "stat"), buf[:])
	from, to := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')') // the name may have any byte
	fields := bytes.Fields(text[to+1:])
	if from < 0 || len(fields) < 20 {
		return procStat{}
	}
	s.name, s.state, s.started = string(text[from+1:to]), fields[0][0], string(fields[19])
	s.parent, _ = strconv.Atoi(string(fields[1]))
	s.session, _ = strconv.Atoi(string(fields[3]))
	return s
}

// ended reports whether the process has ended, or is about to be gone.
func (s procStat) ended() bool { return s.state == 0 || s.state == 'Z' || s.state == 'X' }
