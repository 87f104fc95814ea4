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
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a process that starts makes the folder
		return err
	}
	var cmd *exec.Cmd
	logged := int64(0) // the size of its log before it started
	if pid == 0 {
		if cmd, logged, err = o.start(); err != nil {
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
		// By now the number may be that of another process, and any program may hold the lock.
		if now, err := bound.Holder(o.layout.LogDir); now != pid {
			return errors.Join(err, fmt.Errorf("process %d ended", pid))
		}
		if !sameProgram(pid) {
			if !boundsOutput(pid) {
				return fmt.Errorf("process %d holds a lock on %s, and is no \"sallyport output\"", pid, o.layout.LogDir)
			}
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
	return fmt.Errorf("process %d: %s%s", pid, cmd.ProcessState, lastErrorIn(o.logPath(), logged))
}

// start starts a process in a session of its own, so that what is meant for the daemon's terminal
// doesn't reach it. Its output goes to a file: a pipe would break with the daemon.
// logged is the size of that file before.
func (o outputProcess) start() (cmd *exec.Cmd, logged int64, err error) {
	path := o.logPath()
	if info, err := os.Stat(path); err == nil && info.Size() > outputLogCap {
		_ = os.Truncate(path, 0)
	}
	output, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	defer output.Close()
	if info, err := output.Stat(); err == nil {
		logged = info.Size()
	}
	cmd = exec.Command(program, "output", "--run-dir", o.layout.RunDir, "--log-dir", o.layout.LogDir)
	cmd.Args[0], cmd.Dir = "sallyport", "/"
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "NOTIFY_SOCKET=") || strings.HasPrefix(kv, "WATCHDOG_")
	})
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("start the process that bounds the output: %w", err)
	}
	o.log.Info("started the process that bounds the output", "pid", cmd.Process.Pid)
	return cmd, logged, nil
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

// boundsOutput reports whether a process is "sallyport output", of any version.
func boundsOutput(pid int) bool {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := strings.Split(string(line), "\x00")
	return filepath.Base(args[0]) == "sallyport" && slices.Contains(args, "output")
}

// lastErrorIn returns the last error in a log after an offset, to be added to a text. It is empty
// if there is none. A hint has a line of its own, and so has the trace of a panic.
func lastErrorIn(path string, from int64) string {
	text, err := os.ReadFile(path)
	if err != nil || from > int64(len(text)) {
		return ""
	}
	for _, line := range slices.Backward(strings.Split(string(text[from:]), "\n")) {
		for _, begins := range []string{"sallyport: error: ", "panic: ", "fatal error: "} {
			if strings.HasPrefix(line, begins) {
				return ": " + strings.TrimPrefix(line, "sallyport: error: ")
			}
		}
	}
	return ""
}
