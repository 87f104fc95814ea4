package ctrd

import (
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func TestRootSignal(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive,
			script("app", spec.App, "trap 'echo hup' HUP; trap 'echo usr1; exit 7' USR1; echo up; while :; do sleep 1000 & wait; done"), script("new", spec.App, "exit 0"))
		r.create()
		r.start("app")
		r.says("app", "up")
		for _, tt := range []struct {
			signal  syscall.Signal
			dropped bool
			says    string
		}{{unix.SIGHUP, false, "hup"}, {unix.SIGUSR2, true, "up"}, {unix.SIGTERM, true, "up"}, {unix.SIGSTOP, false, "up"}, {unix.SIGCONT, false, "up"}, {unix.SIGUSR1, false, "usr1"}} {
			dropped, err := c.Signal(t.Context(), "g", "app", tt.signal)
			if err != nil || dropped != tt.dropped {
				t.Errorf("%v: dropped %t, %v", tt.signal, dropped, err)
			}
			r.says("app", tt.says)
		}
		if _, state := r.ended("app"); state.ExitStatus != 7 {
			t.Errorf("status %d, want 7", state.ExitStatus)
		}
		for name, want := range map[string]string{"app": "container g.app doesn't run", "new": "container g.new doesn't run", "never": "there is no container g.never"} {
			_, err := c.Signal(t.Context(), "g", name, unix.SIGHUP)
			if err == nil || !strings.Contains(err.Error(), want) || hint.Of(err) == "" {
				t.Errorf("%s: %v, want %q and a hint", name, err, want)
			}
		}
		if got := r.state("new").Task; got != host.TaskCreated {
			t.Errorf("new is %s", got)
		}
	})
}

// A program that has no handler for a signal may block it and wait for it, as tini does.
func TestActs(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var was unix.Sigset_t
	blocked := unix.Sigset_t{Val: [16]uint64{1 << (unix.SIGUSR2 - 1)}}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &blocked, &was); err != nil {
		t.Fatal(err)
	}
	sleep := exec.Command("sleep", "1000") // it has this thread's mask
	err := sleep.Start()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &was, nil); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sleep.Process.Kill()
		_ = sleep.Wait()
	}()
	for sig, want := range map[syscall.Signal]bool{unix.SIGUSR2: true, unix.SIGHUP: false, unix.SIGKILL: true, unix.SIGCONT: true} {
		if got := acts(sleep.Process.Pid, sig); got != want {
			t.Errorf("%v acts: %t", sig, got)
		}
	}
}
