package ctrd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func TestInputTellsItsEnd(t *testing.T) {
	in := newInput(strings.NewReader("words"))
	b, err := io.ReadAll(in)
	if err != nil || string(b) != "words" {
		t.Fatalf("read %q, %v", b, err)
	}
	<-in.ended
	if _, err := in.Read(make([]byte, 1)); err != io.EOF { // and doesn't end twice
		t.Errorf("read after the end: %v", err)
	}
}

func TestRootExec(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		app := script("app", spec.App, "sleep 1000")
		app.User = "1000:1000"
		app.Env = map[string]string{"OWN": "yes"}
		r := newHarness(t, c, archive, app, script("done", spec.App, "exit 0"), script("new", spec.App, "exit 0"))
		r.create()
		r.start("app", "done")
		r.ended("done")

		tests := []struct {
			name, line, stdin  string
			stdout, stderr     string
			status             uint32
			withStdin, withTTY bool
		}{
			{name: "both streams and a status", line: "echo out; echo err >&2; exit 42", stdout: "out\n", stderr: "err\n", status: 42},
			{name: "input and its end", line: "cat; echo ended", stdin: "one\ntwo\n", withStdin: true, stdout: "one\ntwo\nended\n"},
			{name: "input without a reader", line: "exit 1", stdin: strings.Repeat("x", 1<<20), withStdin: true, status: 1},
			{name: "user and environment", line: "id -u; echo $OWN", stdout: "1000\nyes\n"},
			{name: "cgroup of the program", line: "busybox grep 0:: /proc/self/cgroup", stdout: "0::/\n"},
			{name: "much output", line: "dd if=/dev/zero bs=1024 count=512 2>/dev/null", stdout: strings.Repeat("\x00", 512<<10)},
			{name: "a child keeps the output open", line: "sleep 1000 & echo out", stdout: "out\n"},
			{name: "killed", line: "kill -9 $$", status: 137},
			{name: "terminal", line: "[ -t 0 ] && echo $TERM; exit 3", withTTY: true, stdout: "xterm\r\n", status: 3},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				var stdout, stderr bytes.Buffer
				starts := 0
				req := host.ExecRequest{
					Group: "g", Container: "app", Args: []string{"/bin/sh", "-c", tt.line}, TTY: tt.withTTY, Stdout: &stdout, Stderr: &stderr,
					Started: func() { starts++ },
				}
				if tt.withStdin {
					req.Stdin = strings.NewReader(tt.stdin)
				}
				status, err := c.Exec(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if stdout.String() != tt.stdout || stderr.String() != tt.stderr || status != tt.status {
					t.Errorf("%d bytes %.80q and %q, status %d; want %d bytes %.80q and %q, status %d",
						stdout.Len(), &stdout, &stderr, status, len(tt.stdout), tt.stdout, tt.stderr, tt.status)
				}
				if starts != 1 {
					t.Errorf("%d starts, want 1", starts)
				}
			})
		}

		refused := []struct{ name, container, program, want string }{
			{"no such program", "app", "/no/such", "no such file or directory"},
			{"container has ended", "done", "/bin/true", "container g.done doesn't run"},
			{"container hasn't begun", "new", "/bin/true", "container g.new doesn't run"},
			{"no such container", "never", "/bin/true", "there is no container g.never"},
		}
		for _, tt := range refused {
			t.Run(tt.name, func(t *testing.T) {
				_, err := c.Exec(t.Context(), host.ExecRequest{
					Group: "g", Container: tt.container, Args: []string{tt.program}, Started: func() { t.Error("it started") },
				})
				var p *hint.Error
				if !errors.As(err, &p) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one with a hint and %q", err, tt.want)
				}
			})
		}
		if left, err := filepath.Glob(filepath.Join(c.execsDir(), "*", "*")); err != nil || len(left) > 0 {
			t.Errorf("streams are left: %v %v", left, err)
		}
	})
}

// A terminal is typed into and resized.
func TestRootExecTerminal(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("app", spec.App, "sleep 1000"))
		r.run()
		typed, keyboard := io.Pipe()
		defer keyboard.Close()
		var screen safeBuffer
		resize := make(chan host.WinSize, 1)
		resize <- host.WinSize{Width: 123, Height: 45}
		done := make(chan uint32, 1)
		go func() {
			status, err := c.Exec(t.Context(), host.ExecRequest{
				Group: "g", Container: "app", Args: []string{"/bin/sh"}, TTY: true, Stdin: typed, Stdout: &screen, Resize: resize,
			})
			if err != nil {
				t.Error(err)
			}
			done <- status
		}()
		ask := func(line, want string) {
			t.Helper()
			r.eventually(line+" shows "+want, func() bool {
				if _, err := io.WriteString(keyboard, line+"\n"); err != nil {
					t.Fatal(err)
				}
				return strings.Contains(screen.String(), want)
			})
		}
		ask("busybox stty size", "45 123")
		resize <- host.WinSize{Width: 99, Height: 33}
		close(resize)
		ask("busybox stty size", "33 99")
		if _, err := io.WriteString(keyboard, "exit 7\n"); err != nil {
			t.Fatal(err)
		}
		if status := <-done; status != 7 {
			t.Errorf("status %d, want 7", status)
		}
	})
}

// A caller that hangs up ends the process.
func TestRootExecCancelled(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("app", spec.App, "sleep 1000"))
		r.run()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var out safeBuffer
		done := make(chan error, 1)
		go func() {
			_, err := c.Exec(ctx, host.ExecRequest{Group: "g", Container: "app", Args: []string{"/bin/sh", "-c", "trap '' TERM INT HUP; echo up; sleep 1000; sleep 1000"}, Stdout: &out})
			done <- err
		}()
		r.eventually("the process is up", func() bool { return out.String() == "up\n" })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want cancelled", err)
		}
		ps, _ := r.exec("app", "ps")
		if strings.Contains(ps, "trap") {
			t.Errorf("the process still runs:\n%s", ps)
		}
		if err := unix.Kill(int(r.state("app").PID), 0); err != nil {
			t.Errorf("the container's program: %v", err)
		}
	})
}

// The same is true of a caller that hangs up before the process has started: nothing starts late.
func TestRootExecCancelledInStart(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("app", spec.App, "sleep 1000"))
		r.run()
		for after := time.Duration(0); after < 100*time.Millisecond; after += 10 * time.Millisecond {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			_, err := c.Exec(ctx, host.ExecRequest{Group: "g", Container: "app", Args: []string{"/bin/sleep", "2222"}})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("hung up after %v: error %v", after, err)
			}
		}
		if ps := r.ps("app"); strings.Contains(ps, "2222") {
			t.Errorf("it still runs:\n%s", ps)
		}
		r.noExecs()
	})
}

// A safeBuffer is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
