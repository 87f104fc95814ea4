package life

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
)

// longestAnswer is how long a verb may take when containerd or a shim hangs: the time limit of a
// call, and finding out who is at fault, with a busy host's reserve.
const longestAnswer = 40 * time.Second

// says runs a command and checks that it ends in time and with that status, that it prints each of
// the words, and that its output fits on a few screens. Of a status of -1 any is right.
func says(m *machine.Machine, status int, command string, words ...string) {
	m.T.Helper()
	began := time.Now()
	out, err := m.Try(strings.Fields(command)...)
	took := time.Since(began)
	if got := machine.ExitStatus(err); status >= 0 && got != status {
		m.T.Errorf("%s: exit status %d, want %d", command, got, status)
	}
	if err != nil {
		out += err.Error()
	}
	if err := machine.Contains(out, words...); err != nil {
		m.T.Errorf("%s: %v", command, err)
	}
	if took > longestAnswer {
		m.T.Errorf("%s took %v", command, took)
	}
	if lines := strings.Count(out, "\n"); lines > 300 || len(out) > 100_000 {
		m.T.Errorf("%s printed %d lines, %d bytes", command, lines, len(out))
	}
}

// TestWordsContainerdHangs stops containerd. Every verb ends, and names the process and what to
// type. That mends it.
func TestWordsContainerdHangs(t *testing.T) {
	t.Parallel()
	m := machine.New(t, "")
	m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
	before := m.Pids("pair")
	m.FreezeContainerd(t)
	pid := m.Containerd()
	mend := fmt.Sprintf("kill -9 %d", pid)
	says(m, 0, "ps", "pair")
	says(m, 125, "exec pair.app -- true", fmt.Sprintf("containerd, process %d", pid), "doesn't answer", mend)
	says(m, 1, "restart pair.side", "doesn't answer", mend)
	says(m, 1, "doctor", fmt.Sprintf("containerd, process %d", pid), mend)
	says(m, 0, "ps", "doesn't answer", mend)
	says(m, 0, "status pair", "doesn't answer", mend)
	says(m, 0, "logs pair", "hello")
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.AwaitRunning("pair")
	if now := m.Pids("pair"); now["app"] != before["app"] {
		t.Errorf("the app was process %d and is %d", before["app"], now["app"])
	}
	says(m, 0, "exec pair.app -- true")
}

// TestWordsShim stops a group's shim, and later kills it under a command. Other groups don't
// notice.
func TestWordsShim(t *testing.T) {
	t.Parallel()
	m := machine.New(t, "")
	m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
	shims := m.Shims()
	if len(shims) != 1 {
		t.Fatalf("shims: %v", shims)
	}
	m.Apply("two.hcl", strings.Replace(fmt.Sprintf(machine.Pair, machine.AttackImage, "one"), `"pair"`, `"two"`, 1))
	if err := unix.Kill(shims[0], unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	words := []string{fmt.Sprintf("the shim of pair, process %d, doesn't answer", shims[0]), fmt.Sprintf("kill -9 %d", shims[0])}
	says(m, 125, "exec pair.app -- true", words...)
	says(m, 1, "restart pair.side", words...)
	says(m, 0, "ps", words...)
	says(m, 0, "status pair", words...)
	says(m, 1, "stop pair", words...)
	says(m, 0, "exec two.app -- true")
	if err := unix.Kill(shims[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	machine.Eventually(t, time.Minute, "the stop that was asked for is done", func() error {
		if g := m.Status("pair"); g.State != "stopped" || g.Error != "" {
			return fmt.Errorf("%s: %s", g.State, g.Error)
		}
		return nil
	})

	m.Run("start", "pair")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		says(m, 125, "exec pair.app -- sh -c echo>/dev/shm/runs;sleep${IFS}100", "the command in pair.app is lost")
	}()
	machine.Eventually(t, time.Minute, "the command runs", func() error {
		_, err := os.Stat(fmt.Sprintf("/proc/%d/root/dev/shm/runs", m.Pids("pair")["app"]))
		return err
	})
	for _, pid := range m.ShimsOf("pair") {
		unix.Kill(pid, unix.SIGKILL)
	}
	<-ended
	machine.Eventually(t, time.Minute, "an event has the reason", func() error {
		return machine.Contains(m.Run("events", "pair"), "its shim has ended", "started again")
	})
	m.AwaitRunning("pair", "two")
}

// full is a group whose app leaves no process for anyone else. %[2]d is the limit.
const full = `
group "full" {
  egress = "none"
  resources { pids = %[2]d }
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done; echo all; wait"]
    stop    { signal = "SIGKILL" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop    { signal = "SIGKILL" }
  }
}
`

// TestWordsPidsLimit lets a group reach its limit of processes.
func TestWordsPidsLimit(t *testing.T) {
	t.Parallel()
	m := machine.New(t, "")
	says(m, 1, "apply "+m.Write("full.hcl", fmt.Sprintf(full, machine.AttackImage, 4)), "full.hcl: removed again, as it is new", "raise pids in its resources")
	m.Apply("full.hcl", fmt.Sprintf(full, machine.AttackImage, 40)) // the runtime itself takes some at the start
	machine.Eventually(t, time.Minute, "it is full", func() error { return machine.Contains(m.Run("logs", "full.app"), "all") })
	m.Apply("full.hcl", fmt.Sprintf(full, machine.AttackImage, 6))
	const hint = "raise pids in its resources"
	// The runtime joins the group without asking. It is refused only if it starts a thread after
	// that: about 1 exec in 30 with runc 1.1. One that is refused is a failure of exec itself.
	machine.Eventually(t, 2*time.Minute, "an exec is refused", func() error {
		var refused atomic.Bool
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				_, err := m.Try("exec", "full.side", "--", "/bin/true")
				if err == nil {
					return
				}
				refused.Store(true)
				if machine.ExitStatus(err) != 125 {
					t.Errorf("exec: %v", err)
				}
				if err := machine.Contains(err.Error(), hint); err != nil {
					t.Error(err)
				}
			})
		}
		if wait.Wait(); !refused.Load() {
			return errors.New("all got through")
		}
		return nil
	})
	machine.Eventually(t, time.Minute, "restart is refused", func() error {
		_, err := m.Try("restart", "full.side")
		if err == nil {
			return errors.New("it was done")
		}
		if machine.ExitStatus(err) != 1 {
			t.Errorf("restart: %v", err)
		}
		return machine.Contains(err.Error(), hint)
	})
	m.Apply("full.hcl", fmt.Sprintf(full, machine.AttackImage, 40))
	says(m, 0, "exec full.side -- /bin/true")
	says(m, 127, "exec full.side -- /bin/nowhere", "no such program")
	says(m, 126, "exec full.side -- /bin", "may not run the program")
}

// TestWordsManyBrokenFiles puts 2,000 broken files beside a group's. Every verb works, and counts
// them.
func TestWordsManyBrokenFiles(t *testing.T) {
	t.Parallel()
	m := machine.New(t, "")
	pair := fmt.Sprintf(machine.Pair, machine.AttackImage, "one")
	m.Apply("pair.hcl", pair)
	broken := func(n int) string { return filepath.Join(m.Groups, fmt.Sprintf("broken%d.hcl", n)) }
	for n := range 2000 {
		if err := os.WriteFile(broken(n), fmt.Appendf(nil, "group \"g%d\" {\n  egres = \"none\"\n}\n", n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	machine.Eventually(t, time.Minute, "all of them are known", func() error {
		_, err := m.Try("doctor")
		return machine.Contains(fmt.Sprint(m.Run("ps", "--json"), err, m.All("doctor")), "2000 files can't be used", "ps --all")
	})
	says(m, 0, "ps", "pair")
	if said := m.All("ps"); !strings.Contains(said, "1995 files more are not used") || strings.Count(said, "is not used:") != 5 {
		t.Errorf("ps:\n%.5000s", said)
	}
	if said := m.All("ps", "--all"); strings.Count(said, "is not used:") != 2000 {
		t.Errorf("ps --all has %d files", strings.Count(said, "is not used:"))
	}
	says(m, 2, "apply "+m.Groups, "3980 mistakes more, in 1990 files", "validate --all", "broken0.hcl")
	says(m, 2, "validate "+broken(7), "egres", "egress")
	says(m, 0, "status pair", "running")
	says(m, 0, "events pair", "running")
	says(m, 0, "exec pair.app -- true")
	says(m, 0, "logs pair", "hello")
	says(m, 0, "stop pair", "stopped")
	says(m, 0, "start pair", "started")
	says(m, 0, "rm pair", "gone")
	if n := len(m.Out.String()); n > 200_000 {
		t.Errorf("the daemon has logged %d bytes", n)
	}
	for n := range 2000 {
		if err := os.Remove(broken(n)); err != nil {
			t.Fatal(err)
		}
	}
}
