package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// siocUnixFile is SIOCUNIXFILE of the kernel's net/unix (since 4.19): it opens the file to which a
// unix socket is bound, also when the file has no name any more.
const siocUnixFile = 0x89E0

// scanProcess returns the containerd that was started with config, wherever its files went. It
// returns nil if there is none.
func scanProcess(config string) (*process, error) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	for _, file := range all {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || !runsContainerd(pid, config) {
			continue
		}
		pidfd, err := openPidfd(pid)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("hold process %d: %w", pid, err)
		}
		if runsContainerd(pid, config) { // it is the same process still
			return newProcess(pid, pidfd, nil), nil
		}
		pidfd.Close()
	}
	return nil, nil
}

// runsContainerd reports whether the command line of a process ends as that of startProcess. A
// containerd has one of these only: an editor of that file has another.
func runsContainerd(pid int, config string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.HasSuffix(b, []byte("\x00--config\x00"+config+"\x00"))
}

// regain gives a socket of the process its path back, after its file was removed. A socket can't be
// bound again. But its file exists as long as the socket, and can be connected to by a descriptor
// of it. The path becomes a link to that descriptor, which the caller keeps open. The error is
// os.ErrNotExist if the process listens on no such socket.
func (p *process) regain(path string) (*os.File, error) {
	file, err := p.socketFile(path)
	if err != nil {
		return nil, fmt.Errorf("regain socket %s of process %d: %w", path, p.pid, err)
	}
	link := path + ".link"
	_ = os.Remove(link)
	err = os.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), file.Fd()), link)
	if err == nil {
		err = os.Rename(link, path)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("regain socket %s: %w", path, err)
	}
	return file, nil
}

// socketFile opens the file of the listening socket that the process has bound to path.
func (p *process) socketFile(path string) (*os.File, error) {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		return nil, err
	}
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return nil, err
	}
	for _, entry := range fds {
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		var ours int
		if cerr := raw.Control(func(pidfd uintptr) { ours, err = unix.PidfdGetfd(int(pidfd), number, 0) }); cerr != nil {
			return nil, cerr
		}
		if errors.Is(err, unix.EBADF) {
			continue // closed meanwhile
		}
		if err != nil {
			return nil, err
		}
		file, err := boundFile(ours, path)
		_ = unix.Close(ours)
		if err != nil || file != nil {
			return file, err
		}
	}
	return nil, os.ErrNotExist
}

// boundFile opens the file of a socket if it listens at path. It returns nil for everything else.
func boundFile(fd int, path string) (*os.File, error) {
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return nil, nil
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return nil, nil
	}
	if at, ok := addr.(*unix.SockaddrUnix); !ok || at.Name != path {
		return nil, nil
	}
	opened, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), siocUnixFile, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("SIOCUNIXFILE", errno)
	}
	return os.NewFile(opened, path), nil
}
