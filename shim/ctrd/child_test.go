package ctrd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/ctrd/archive"
)

func TestRootChildServes(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		v, err := c.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(v, "1.6.") && !strings.HasPrefix(v, "1.7.") && !strings.HasPrefix(v, "2.") {
			t.Errorf("version %q", v)
		}
		if _, err := c.snapshotter(t.Context()); err != nil {
			t.Error(err)
		}
		// Nothing of a private containerd is outside the folders it was given.
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(c.cfg.Address), "containerd.log")); err != nil || strings.Contains(string(b), "/opt/containerd") {
			t.Errorf("log: %v\n%s", err, b)
		}
	})
}

func TestRootChildIsStartedAgain(t *testing.T) {
	eachBinary(t, func(t *testing.T, binary string) {
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
	eachBinary(t, func(t *testing.T, binary string) {
		// What a daemon does until it is killed.
		killed := newTestChild(t, binary)
		for _, dir := range []string{killed.cfg.Root, killed.cfg.State} {
			if err := os.MkdirAll(dir, 0o711); err != nil {
				t.Fatal(err)
			}
		}
		p, err := killed.obtain()
		if err != nil {
			t.Fatal(err)
		}
		p.close()
		t.Cleanup(func() { _ = p.cmd.Wait() })

		child, err := NewChild(killed.cfg)
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

func TestRootContainersOutliveTheirChild(t *testing.T) {
	eachBinary(t, func(t *testing.T, binary string) {
		c, stop := startServer(t, binary)
		img := mustImage(t, c, archive.OCIPrefix+busyboxArchive(t))
		ctx, cancel := c.ctx(t.Context(), 30*time.Second)
		defer cancel()
		i, err := c.image(ctx, img)
		if err != nil {
			t.Fatal(err)
		}
		ctr, err := c.client.NewContainer(ctx, "sleeper",
			containerd.WithNewSnapshot("sleeper", i),
			containerd.WithNewSpec(oci.WithImageConfigArgs(i, []string{"sleep", "100"}), oci.WithCgroup(c.cfg.Layout.CgroupRoot)))
		if err != nil {
			t.Fatal(err)
		}
		task, err := ctr.NewTask(ctx, cio.NullIO)
		if err != nil {
			t.Fatal(err)
		}
		if err := task.Start(ctx); err != nil {
			t.Fatal(err)
		}
		pid := task.Pid()
		stop()
		if err := unix.Kill(int(pid), 0); err != nil {
			t.Errorf("the container's process: %v", err)
		}
		state := filepath.Dir(c.cfg.Address)
		next, err := NewChild(ChildConfig{Root: filepath.Join(filepath.Dir(state), "root"), State: state, Binary: binary, Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		runChild(t, next)
		t.Cleanup(func() { sweep(t, c) })
		again, err := c.client.LoadContainer(ctx, "sleeper")
		if err != nil {
			t.Fatal(err)
		}
		same, err := again.Task(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := same.Status(ctx); err != nil || st.Status != containerd.Running || same.Pid() != pid {
			t.Errorf("status %v, pid %d (was %d), %v", st, same.Pid(), pid, err)
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
	good := ChildConfig{Root: dir, State: dir}
	for _, tt := range []struct {
		name, path string
		cfg        ChildConfig
		want, hint string
	}{
		{"everything", with("containerd", "containerd-shim-runc-v2", "runc"), good, "", ""},
		{"no containerd", with("runc"), good, "containerd is not installed", "apt-get install containerd runc"},
		{"no shim", with("containerd", "runc"), good, "containerd-shim-runc-v2 is neither beside", "apt-get install containerd"},
		{"no runc", with("containerd", "containerd-shim-runc-v2"), good, "runc is not installed", "apt-get install runc"},
		{"not the binary", with("runc"), ChildConfig{Root: dir, State: dir, Binary: "/no/containerd"}, "no such file", "name an executable containerd"},
		{"long path", with("containerd", "containerd-shim-runc-v2", "runc"), ChildConfig{Root: dir, State: "/" + strings.Repeat("x", 100)}, "too long by 16 bytes", "choose a shorter run folder"},
		{"relative path", with("containerd", "containerd-shim-runc-v2", "runc"), ChildConfig{Root: "root", State: dir}, "not an absolute path", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			_, err := NewChild(tt.cfg)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			var p *shim.Problem
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
			var p *shim.Problem
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
		writeFile(t, child.path("containerd.pid"), []byte(tt.pidfile))
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
	dir := shortDir(t)
	child, err := NewChild(ChildConfig{Root: filepath.Join(dir, "root"), State: filepath.Join(dir, "state"), Binary: binary, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	return child
}

// scriptChild is a private containerd that is a shell script, so that it can misbehave.
func scriptChild(t *testing.T, script string) *Child {
	t.Helper()
	dir := shortDir(t)
	bin := filepath.Join(dir, "containerd")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Child{cfg: ChildConfig{Root: dir, State: dir}, log: testLog(t), binary: bin}
}

// awaitPeer waits until somebody whom want accepts serves the socket.
func awaitPeer(t *testing.T, child *Child, want func(pid int) bool) int {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(readyPoll) {
		pid, err := peer(child.Address())
		if err == nil && want(pid) {
			return pid
		}
		if err != nil && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
	}
	t.Fatal("nobody serves")
	return 0
}
