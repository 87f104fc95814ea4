package child

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout bounds a connect to a local socket. A listener with a free backlog takes it at once.
const dialTimeout = time.Second

// killWait is how long a killed process may take to end. One that takes longer hangs in the kernel.
const killWait = 5 * time.Second

// A process is a containerd that we started or found. A pidfd holds it, so that its number can't
// come to mean another process.
type process struct {
	pid   int
	pidfd *os.File
	cmd   *exec.Cmd // nil if it was found: it is not our child

	done     chan struct{} // closed when it has ended
	how      string        // how it ended, once done is closed
	watching sync.WaitGroup
}

func newProcess(pid int, pidfd *os.File, cmd *exec.Cmd) *process {
	p := &process{pid: pid, pidfd: pidfd, cmd: cmd, done: make(chan struct{})}
	p.watching.Go(p.watch)
	return p
}

// startProcess runs binary in a process group of its own, so that a Ctrl-C meant for the daemon
// doesn't reach it. Its output goes to a file: when the daemon is killed, a pipe would break, and
// kill it.
func startProcess(binary, config string, output *os.File) (*process, error) {
	cmd := exec.Command(binary, "--config", config)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "PATH=") || strings.HasPrefix(kv, "NOTIFY_SOCKET=") || strings.HasPrefix(kv, "WATCHDOG_")
	}), "PATH="+searchPath(binary))
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	// It has not been waited for yet, so the number is still its own.
	pidfd, err := openPidfd(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("hold process %d: %w", cmd.Process.Pid, err)
	}
	return newProcess(cmd.Process.Pid, pidfd, cmd), nil
}

// searchPath returns PATH with the binary's own folder first, because its shim is beside it.
func searchPath(binary string) string {
	return filepath.Dir(binary) + string(os.PathListSeparator) + os.Getenv("PATH")
}

// findProcess returns the containerd that was started with config and outlived its daemon. It
// returns nil if there is none. The process is the one that serves the socket. While that is not
// served yet, it is the one that the pid file names.
func findProcess(socket, pidfile, config string) (*process, error) {
	pid, err := peer(socket)
	served := err == nil
	if !served {
		b, err := os.ReadFile(pidfile)
		if err != nil {
			return nil, nil
		}
		if pid, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil || pid <= 0 {
			return nil, nil
		}
	}
	pidfd, err := openPidfd(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hold process %d: %w", pid, err)
	}
	if startedWith(pid, config) {
		return newProcess(pid, pidfd, nil), nil
	}
	pidfd.Close()
	if served {
		return nil, fmt.Errorf("%s is served by process %d, which is not a containerd of ours", socket, pid)
	}
	return nil, nil
}

// peer returns the process that serves a unix socket.
func peer(socket string) (pid int, err error) {
	conn, err := net.DialTimeout("unix", socket, dialTimeout)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); cerr != nil {
		return 0, cerr
	}
	if err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// startedWith reports, by its command line, whether the process is a containerd that reads this
// config.
func startedWith(pid int, config string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(bytes.Split(b, []byte{0}), func(arg []byte) bool { return string(arg) == config })
}

func openPidfd(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// watch closes done once the process has ended. When the pidfd is closed it returns early, and
// leaves done open.
func (p *process) watch() {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return
	}
	if err := raw.Read(ended); err != nil {
		return
	}
	p.how = "ended"
	if p.cmd != nil {
		_ = p.cmd.Wait()
		p.how = p.cmd.ProcessState.String()
	}
	close(p.done)
}

// ended reports whether the process of a pidfd has ended. The pidfd is readable then.
func ended(pidfd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}

// end asks the process to end and, after grace, kills it. Its own children, the shims, live on.
func (p *process) end(grace time.Duration) error {
	for _, s := range []struct {
		signal unix.Signal
		wait   time.Duration
	}{{unix.SIGTERM, grace}, {unix.SIGKILL, killWait}} {
		if err := p.signal(s.signal); err != nil {
			return fmt.Errorf("end containerd, process %d: %w", p.pid, err)
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(s.wait):
		}
	}
	return fmt.Errorf("containerd, process %d, doesn't end", p.pid)
}

// signal sends a signal. A process that has ended is no error.
func (p *process) signal(s unix.Signal) error {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), s, nil, 0) }); cerr != nil {
		return cerr
	}
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// close releases the process, and returns when nothing of it is left in this one.
func (p *process) close() {
	_ = p.pidfd.Close()
	p.watching.Wait()
}
