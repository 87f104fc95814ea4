package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/bound"
)

const (
	outputFirstPause = 50 * time.Millisecond // before a process that ended early is started again; doubles
	outputLastPause  = 10 * time.Second
	outputStayedUp   = 5 * time.Second // one that ran this long is started again at once
	outputGrace      = 5 * time.Second
	outputLogCap     = 1 << 20 // bytes of its log that are kept
	program          = "/proc/self/exe"
)

// An outputProcess keeps a process that bounds the output, where no service manager does. It is a
// process of its own, since it goes on while the daemon is down.
type outputProcess struct {
	layout layout.Layout
	log    *slog.Logger
	// needless reports whether there is nothing to bound, so that the process ends with the daemon.
	needless func() bool
}

// run finds the process that runs or starts one, again and again until ctx ends. Nothing that goes
// wrong here ends the daemon: output that is not bounded for now is in the log and in doctor.
func (o outputProcess) run(ctx context.Context) {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		err := o.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue
		}
		if time.Since(began) >= outputStayedUp {
			pause = 0
		}
		o.log.Warn("nothing bounds the output, starting it again", "error", err, "in", pause, "log", o.logPath())
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(max(2*pause, outputFirstPause), outputLastPause)
	}
}

func (o outputProcess) logPath() string { return filepath.Join(o.layout.RunDir, "output.log") }

// once finds a process or starts one, and returns how it ended. nil means that it was ended here.
func (o outputProcess) once(ctx context.Context) error {
	pid, err := bound.Holder(o.layout.LogDir)
	if err != nil {
		return err
	}
	var cmd *exec.Cmd
	if pid == 0 {
		if cmd, err = o.start(); err != nil {
			return err
		}
		pid = cmd.Process.Pid
	}
	pidfd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("hold process %d: %w", pid, err)
	}
	process := os.NewFile(uintptr(pidfd), "pidfd")
	defer process.Close()
	if cmd == nil {
		if !sameProgram(pid) {
			o.log.Info("an earlier version bounds the output, replacing it", "pid", pid)
			return o.end(process, pid)
		}
		o.log.Info("found the process that bounds the output", "pid", pid)
	}
	ended := awaitEnd(ctx, process)
	switch {
	case !ended && o.needless():
		return o.end(process, pid)
	case !ended:
		return nil
	case cmd == nil:
		return fmt.Errorf("process %d ended", pid)
	}
	_ = cmd.Wait()
	return fmt.Errorf("process %d: %s: %s", pid, cmd.ProcessState, lastLineOf(o.logPath()))
}

// start starts a process in a session of its own, so that what is meant for the daemon's terminal
// doesn't reach it. Its output goes to a file: a pipe would break with the daemon.
func (o outputProcess) start() (*exec.Cmd, error) {
	path := o.logPath()
	if info, err := os.Stat(path); err == nil && info.Size() > outputLogCap {
		_ = os.Truncate(path, 0)
	}
	output, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd := exec.Command(program, "output", "--run-dir", o.layout.RunDir, "--log-dir", o.layout.LogDir)
	cmd.Args[0], cmd.Dir = "sallyport", "/"
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "NOTIFY_SOCKET=") || strings.HasPrefix(kv, "WATCHDOG_")
	})
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the process that bounds the output: %w", err)
	}
	o.log.Info("started the process that bounds the output", "pid", cmd.Process.Pid)
	return cmd, nil
}

// end ends the process and waits for its end.
func (o outputProcess) end(process *os.File, pid int) error {
	ctx, cancel := context.WithTimeout(context.Background(), outputGrace)
	defer cancel()
	raw, err := process.SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), unix.SIGTERM, nil, 0) }); err != nil {
		return err
	}
	if !awaitEnd(ctx, process) {
		return errors.New("process " + strconv.Itoa(pid) + " does not end")
	}
	return nil
}

// awaitEnd reports whether the process of a pidfd has ended, before ctx has.
func awaitEnd(ctx context.Context, process *os.File) bool {
	stop := context.AfterFunc(ctx, func() { _ = process.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := process.SyscallConn()
	if err != nil {
		return false
	}
	return raw.Read(func(fd uintptr) bool { // it is readable then
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return err == nil && n == 1
	}) == nil
}

// sameProgram reports whether a process runs the same program as this one.
func sameProgram(pid int) bool {
	mine, err := os.Stat(program)
	if err != nil {
		return false
	}
	its, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && os.SameFile(mine, its)
}

// lastLineOf returns the last line of a short file.
func lastLineOf(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
