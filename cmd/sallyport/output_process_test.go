package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/bound"
)

// A bounding is an instance whose output is kept bounded by an outputProcess.
type bounding struct {
	t *testing.T
	l layout.Layout
}

// newBounding runs what the daemon runs, with this binary as the program: started again, it is the
// real main.
func newBounding(t *testing.T) bounding {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	root := t.TempDir()
	b := bounding{t, layout.Layout{RunDir: filepath.Join(root, "run"), LogDir: filepath.Join(root, "log")}}
	for _, dir := range []string{b.l.RunDir, b.l.LogDir} {
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if pid := holderOf(b.l); pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return b
}

// daemon runs the part of a daemon, until the function that it returns is called.
func (b bounding) daemon(needless bool) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	o := outputProcess{layout: b.l, log: slog.New(slog.NewTextHandler(b.t.Output(), nil)), needless: func() bool { return needless }}
	go func() { defer close(done); o.run(ctx) }()
	stop = func() { cancel(); <-done }
	b.t.Cleanup(stop)
	return stop
}

// await waits for a process that is none of those before, and is ready.
func (b bounding) await(before ...int) int {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		pid := holderOf(b.l)
		if pid == 0 || len(before) > 0 && pid == before[0] {
			continue
		}
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil && strings.Contains(string(status), "CapEff:\t0000000000000000") {
			return pid
		}
	}
	text, _ := os.ReadFile(filepath.Join(b.l.RunDir, "output.log"))
	b.t.Fatalf("no process bounds the output:\n%s", text)
	return 0
}

func TestRootOutputProcess(t *testing.T) {
	b := newBounding(t)
	stop := b.daemon(false)
	first := b.await()
	if _, err := checkOutput(t.Context(), b.l); err != nil {
		t.Errorf("doctor: %v", err)
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := b.await(first)
	stop()
	if got := holderOf(b.l); got != second {
		t.Fatalf("after the daemon's end process %d bounds the output, want %d", got, second)
	}
	stop = b.daemon(false) // finds it again
	stop()
	if got := holderOf(b.l); got != second {
		t.Errorf("a second daemon has process %d, want %d", got, second)
	}
	// Where no group is left, it ends with the daemon.
	stop = b.daemon(true)
	for deadline := time.Now().Add(time.Minute); holderOf(b.l) != 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		stop()
		stop = b.daemon(true)
	}
	stop()
	if got := holderOf(b.l); got != 0 {
		t.Errorf("process %d is left", got)
	}
	if _, err := checkOutput(t.Context(), b.l); err == nil || !strings.Contains(err.Error(), "no process bounds it") {
		t.Errorf("doctor: %v", err)
	}
}

// A process ends with the folder of the output, and another one takes over what comes in its place,
// with the same settings.
func TestRootOutputProcessEndsWithItsFolder(t *testing.T) {
	b := newBounding(t)
	if err := bound.WriteSettings(b.l.LogDir, bound.Settings{Size: 7 << 20, Removed: time.Hour}); err != nil {
		t.Fatal(err)
	}
	b.daemon(false)
	first := b.await()
	file := filepath.Join(b.l.LogDir, bound.SettingsFile)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(b.l.LogDir); err != nil {
		t.Fatal(err)
	}
	second := b.await(first)
	if err := syscall.Kill(first, 0); err == nil {
		t.Errorf("process %d goes on, and %d bounds the output", first, second)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(before) {
		t.Errorf("the settings were %s, and are %s, %v", before, now, err)
	}
}

// A process of an earlier version is replaced.
func TestRootOutputProcessOfAnotherVersion(t *testing.T) {
	b := newBounding(t)
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	earlier := filepath.Join(b.l.RunDir, "sallyport")
	if err := os.WriteFile(earlier, text, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(earlier, "output", "--run-dir", b.l.RunDir, "--log-dir", b.l.LogDir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	first := b.await()
	b.daemon(false)
	b.await(first)
}

// Another program that locks the folder, such as for a backup, is left alone, and named.
func TestRootOutputFolderLockedByOthers(t *testing.T) {
	b := newBounding(t)
	other := exec.Command("flock", "--no-fork", b.l.LogDir, "sleep", "100")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = other.Wait() }()
	for deadline := time.Now().Add(time.Minute); holderOf(b.l) != other.Process.Pid; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not hold the lock")
		}
	}
	o := outputProcess{layout: b.l, log: slog.New(slog.DiscardHandler), needless: func() bool { return false }}
	err := o.once(t.Context())
	want := fmt.Sprintf("process %d holds a lock on %s", other.Process.Pid, b.l.LogDir)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	if _, err := checkOutput(t.Context(), b.l); err == nil || !strings.Contains(err.Error(), "no process bounds it") {
		t.Errorf("doctor: %v", err)
	}
	select {
	case <-ended:
		t.Fatal("the other program was ended")
	default:
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	b.daemon(false)
	b.await()
}

// What a process ended with is its error, and no hint, no other line, and none of an earlier one.
func TestLastErrorIn(t *testing.T) {
	const earlier = "sallyport: error: old\n"
	for text, want := range map[string]string{
		"": "",
		"time=x level=INFO msg=\"bounding output\"\n":                                "",
		"time=x\nsallyport: error: lock held\nsallyport: hint: end that one first\n": ": lock held",
		"panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n":                       ": panic: boom",
	} {
		path := filepath.Join(t.TempDir(), "output.log")
		if err := os.WriteFile(path, []byte(earlier+text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastErrorIn(path, int64(len(earlier))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestOutputStartHint(t *testing.T) {
	l := layout.Layout{LogDir: "/var/log/sallyport"}
	if got := startOutput(l); bySystemd() != (got == "systemctl start sallyport-output") {
		t.Errorf("hint %q", got)
	}
	if bound.Defaults.Size != 50<<20 {
		t.Error("the default of the process is not that of the flag")
	}
}
