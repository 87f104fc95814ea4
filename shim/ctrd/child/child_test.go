package child

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
)

func TestRootChildIsStartedAgain(t *testing.T) {
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		child := newTestChild(t, binary)
		runChild(t, child)
		first, err := peer(child.Address())
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(first, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		second := awaitPeer(t, child, func(pid int) bool { return pid != first })
		t.Logf("was %d, is %d", first, second)
	})
}

func TestRootChildIsTakenOver(t *testing.T) {
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		// These are the first steps of a daemon that is then killed.
		killed := newTestChild(t, binary)
		p, err := killed.obtain()
		if err != nil {
			t.Fatal(err)
		}
		p.close()
		t.Cleanup(func() { _ = p.cmd.Wait() })

		child, err := New(killed.cfg)
		if err != nil {
			t.Fatal(err)
		}
		stop := runChild(t, child)
		if pid := awaitPeer(t, child, func(int) bool { return true }); pid != p.pid {
			t.Errorf("process %d serves, want the one left behind, %d", pid, p.pid)
		}
		stop()
		if _, err := peer(child.Address()); err == nil {
			t.Error("it outlived the daemon that took it over")
		}
	})
}

func TestNewChildMissesParts(t *testing.T) {
	dir := t.TempDir()
	with := func(names ...string) string {
		t.Helper()
		bin := filepath.Join(dir, strings.Join(append([]string{"bin"}, names...), "-"))
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if err := os.WriteFile(filepath.Join(bin, n), []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return bin
	}
	good := Config{Root: dir, State: dir}
	for _, tt := range []struct {
		name, path string
		cfg        Config
		want, hint string
	}{
		{"everything", with("containerd", "containerd-shim-runc-v2", "runc"), good, "", ""},
		{"no containerd", with("runc"), good, "containerd is not installed", "apt-get install containerd runc"},
		{"no shim", with("containerd", "runc"), good, "containerd-shim-runc-v2 is neither beside", "apt-get install containerd"},
		{"no runc", with("containerd", "containerd-shim-runc-v2"), good, "runc is not installed", "apt-get install runc"},
		{"not the binary", with("runc"), Config{Root: dir, State: dir, Binary: "/no/containerd"}, "no such file", "name an executable containerd"},
		{"long path", with("containerd", "containerd-shim-runc-v2", "runc"), Config{Root: dir, State: "/" + strings.Repeat("x", 100)}, "too long by 16 bytes", "choose a shorter run folder"},
		{"relative path", with("containerd", "containerd-shim-runc-v2", "runc"), Config{Root: "root", State: dir}, "not an absolute path", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			_, err := New(tt.cfg)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			var p *hint.Error
			hint := ""
			if errors.As(err, &p) {
				hint = p.Hint
			}
			if hint != tt.hint {
				t.Errorf("hint %q, want %q", hint, tt.hint)
			}
		})
	}
}

func TestChildThatEndsAtOnce(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"by itself", "echo 'containerd: no such luck' >&2; exit 3", "it ends at once (exit status 3): containerd: no such luck"},
		{"can't be started again", "rm $0", "no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			child := scriptChild(t, tt.script)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- child.Run(ctx) }()
			err := child.Ready(ctx)
			var p *hint.Error
			if !errors.As(err, &p) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChildThatCantBeStarted(t *testing.T) {
	child := scriptChild(t, "exit 0")
	child.binary += ".not"
	if err := child.Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestChildEndsWithTheDaemon(t *testing.T) {
	child := scriptChild(t, "while :; do sleep 0.05; done")
	p, err := child.obtain()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := child.mind(ctx, p); err != nil {
		t.Fatal(err)
	}
	if p.how != "signal: terminated" {
		t.Errorf("ended by %q", p.how)
	}
	if _, err := os.Stat(child.path("containerd.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pid file: %v", err)
	}
}

func TestProcessIsKilledAfterItsGrace(t *testing.T) {
	child := scriptChild(t, "trap '' TERM; echo deaf >&2; while :; do sleep 0.05; done")
	p, err := child.obtain()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for lastLine(child.path("containerd.log")) != "deaf" {
		time.Sleep(time.Millisecond)
	}
	if err := p.end(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.how != "signal: killed" {
		t.Errorf("ended by %q", p.how)
	}
}

func TestChildWhoseSocketIsAnothers(t *testing.T) {
	child := scriptChild(t, "exit 1")
	l, err := net.Listen("unix", child.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := child.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "is not a containerd of ours") {
		t.Errorf("%v", err)
	}
}

func TestFindProcessBeforeItServes(t *testing.T) {
	child := scriptChild(t, "while :; do sleep 0.05; done")
	p, err := child.obtain()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	defer func() { _ = p.end(time.Second) }()
	found, err := findProcess(child.Address(), child.path("containerd.pid"), child.path("config.toml"))
	if err != nil || found == nil {
		t.Fatalf("%v, %v", found, err)
	}
	defer found.close()
	if found.pid != p.pid {
		t.Errorf("found %d, want %d", found.pid, p.pid)
	}
	for _, tt := range []struct{ name, pidfile string }{
		{"another's process", "1\n"},
		{"no process", "4194304\n"},
		{"not a number", "x"},
	} {
		if err := os.WriteFile(child.path("containerd.pid"), []byte(tt.pidfile), 0o644); err != nil {
			t.Fatal(err)
		}
		if other, err := findProcess(child.Address(), child.path("containerd.pid"), child.path("config.toml")); other != nil || err != nil {
			t.Errorf("%s: %v, %v", tt.name, other, err)
		}
	}
}

func TestTrim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := trim(path, 3); err != nil {
		t.Error(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []string
	for _, s := range []string{"a\n", "bc\n", "d\n"} {
		if _, err := f.WriteString(s); err != nil {
			t.Fatal(err)
		}
		if err := trim(path, 3); err != nil {
			t.Fatal(err)
		}
		got = append(got, lastLine(path))
	}
	if diff := cmp.Diff([]string{"a", "", "d"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// newTestChild is a private containerd in a temporary folder.
func newTestChild(t *testing.T, binary string) *Child {
	t.Helper()
	dir := ctrdtest.ShortDir(t)
	child, err := New(Config{Root: filepath.Join(dir, "root"), State: filepath.Join(dir, "state"), Binary: binary, Log: ctrdtest.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	return child
}

// scriptChild is a private containerd that is a shell script, so that it can misbehave.
func scriptChild(t *testing.T, script string) *Child {
	t.Helper()
	dir := ctrdtest.ShortDir(t)
	bin := filepath.Join(dir, "containerd")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Child{cfg: Config{Root: dir, State: dir}, log: ctrdtest.Log(t), binary: bin}
}

// awaitPeer waits until a process that want accepts serves the socket.
func awaitPeer(t *testing.T, child *Child, want func(pid int) bool) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(readyPoll) {
		pid, err := peer(child.Address())
		if err == nil && want(pid) {
			return pid
		}
		if err != nil && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
	}
	t.Fatal("the socket is not served")
	return 0
}

// awaitAnswer waits until the containerd answers at its socket. It has all of its sockets then, and
// is done with their files. One that listens only may not be: it ends if it finds its own gone.
func awaitAnswer(t *testing.T, child *Child) {
	t.Helper()
	conn, err := net.Dial("unix", child.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	// A server of HTTP/2 speaks first.
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// runChild runs a private containerd until the test ends, or stop is called. It returns once the
// containerd serves.
func runChild(t testing.TB, child *Child) (stop func()) {
	t.Helper()
	// Not the test's own context, which ends before its clean-ups run.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- child.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("private containerd: %v", err)
		}
		if b, err := os.ReadFile(child.path("containerd.log")); err == nil && t.Failed() {
			t.Logf("log of %s:\n%s", child.binary, b)
		}
	})
	t.Cleanup(stop)
	rctx, rcancel := context.WithTimeout(ctx, time.Minute)
	defer rcancel()
	if err := child.Ready(rctx); err != nil {
		t.Fatal(err)
	}
	return stop
}
