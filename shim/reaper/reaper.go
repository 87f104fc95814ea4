// Package reaper is the first process of a container with `init = true`: it starts the program,
// passes signals on to it, and waits for processes whose parents have ended. It ends with the
// program's status.
//
// Pitfall: the process is the daemon's own binary under another name, so main has to call [Main]
// first thing.
package reaper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Path is where a container has the binary, and argv[0] of its process.
const Path = "/dev/init"

// What a shell returns for a program that it can't run, or that is not there.
const (
	cannotRun = 126
	noProgram = 127
)

// Main runs the program that the arguments name and ends the process with its status, if this is
// the first process of a container. Otherwise it returns at once.
func Main() {
	if len(os.Args) < 2 || os.Args[0] != Path || os.Getpid() != 1 {
		return
	}
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1) // it keeps nothing, and collecting takes threads
	haveThreads()
	os.Exit(run(os.Args[1:]))
}

// threads is how many the process makes at its start, which is more than it needs.
const threads = 8

// haveThreads makes the threads. The Go runtime keeps them. If it needs one more at a time when the
// container has no place for another process, it ends the process, and with it the container.
func haveThreads() {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return
	}
	var waiting sync.WaitGroup
	for range threads {
		waiting.Go(func() {
			var b [1]byte
			_, _ = syscall.Read(pipe[0], b[:]) // it ends when the other end is closed
		})
	}
	for range 1000 { // a second
		if all, err := os.ReadDir("/proc/self/task"); err != nil || len(all) >= threads {
			break
		}
		time.Sleep(time.Millisecond)
	}
	_ = syscall.Close(pipe[1])
	waiting.Wait()
	_ = syscall.Close(pipe[0])
}

// run starts a program and returns the status with which it has ended. A signal is its number
// and 128.
func run(args []string) int {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	child, status := start(args)
	if child == 0 {
		return status
	}
	go func() {
		for s := range signals {
			if passed(s) {
				_ = syscall.Kill(child, s.(syscall.Signal)) // it may have ended
			}
		}
	}()
	return reap(child)
}

// own are the signals that are for this process: a child has ended, and what the Go runtime sends
// itself.
var own = []os.Signal{syscall.SIGCHLD, syscall.SIGURG}

func passed(s os.Signal) bool { return !slices.Contains(own, s) }

// start starts the program. A child of 0 means that it can't be started, which has been printed.
func start(args []string) (child, status int) {
	program, err := exec.LookPath(args[0])
	if err == nil || errors.Is(err, exec.ErrDot) {
		child, err = syscall.ForkExec(program, args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	}
	switch {
	case err == nil:
		return child, 0
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		status = noProgram
	default:
		status = cannotRun
	}
	if notFound, ok := errors.AsType[*exec.Error](err); ok {
		err = notFound.Err
	}
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	fmt.Fprintf(os.Stderr, "exec %s: %v\n", args[0], err) // the words of a runtime
	return 0, status
}

// reap waits for processes until the child has ended, and returns its status.
func reap(child int) int {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return cannotRun // no child, which can't be
		case pid == child && ws.Signaled():
			return 128 + int(ws.Signal())
		case pid == child && ws.Exited():
			return ws.ExitStatus()
		}
	}
}
