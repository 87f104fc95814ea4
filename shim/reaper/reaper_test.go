package reaper

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestMain makes the binary of the tests a reaper, as main does. It need not be process 1 here.
func TestMain(m *testing.M) {
	if os.Args[0] == Path {
		haveThreads()
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// reaper returns a command that runs args under a reaper.
func reaper(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{Path}, args...)
	return cmd
}

// A process that can get no more threads keeps those of its start.
func TestThreads(t *testing.T) {
	out, err := reaper("/bin/sh", "-c", "ls /proc/$PPID/task | wc -l").Output()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || n < threads {
		t.Errorf("it has %d threads (%v), want %d at least", n, err, threads)
	}
}

func TestStatus(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/plain", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   []string
		status int
		words  string
	}{
		{[]string{"/bin/sh", "-c", "exit 0"}, 0, ""},
		{[]string{"sh", "-c", "exit 7"}, 7, ""}, // found on PATH
		{[]string{"/bin/sh", "-c", "kill -KILL $$"}, 137, ""},
		{[]string{"/bin/sh", "-c", "(sleep 0.1; exit 9) & exit 3"}, 3, ""},
		{[]string{"/no/such/program"}, 127, "exec /no/such/program: no such file or directory"},
		{[]string{"no-such-program"}, 127, "exec no-such-program: executable file not found in $PATH"},
		{[]string{dir + "/plain"}, 126, "exec " + dir + "/plain: permission denied"},
	} {
		out, _ := reaper(tt.args...).CombinedOutput() // the status is looked at
		cmd := reaper(tt.args...)
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != tt.status || strings.TrimSpace(string(out)) != tt.words {
			t.Errorf("%q: status %d and %q, want %d and %q", tt.args, got, out, tt.status, tt.words)
		}
	}
}

// A signal reaches the program.
func TestSignal(t *testing.T) {
	cmd := reaper("/bin/sh", "-c", `trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.01; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the first line is %q", lines.Text())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != "caught" {
		t.Errorf("the line after the signal is %q", lines.Text())
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("status %d, want the program's 5", cmd.ProcessState.ExitCode())
	}
}

func TestPassed(t *testing.T) {
	for s, want := range map[syscall.Signal]bool{syscall.SIGTERM: true, syscall.SIGHUP: true, syscall.SIGWINCH: true, syscall.SIGCHLD: false, syscall.SIGURG: false} {
		if passed(s) != want {
			t.Errorf("%v is passed on: %v", s, !want)
		}
	}
}
