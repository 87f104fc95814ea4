package child

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
)

// The state folder is emptied under a containerd that runs. It can be reached again, by this
// daemon and by the next one. It ends with the first daemon that finds its folder whole.
func TestRootChildWhoseFolderIsEmptied(t *testing.T) {
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		child := newTestChild(t, binary)
		stop := runChild(t, child)
		awaitAnswer(t, child)
		first, err := peer(child.Address())
		if err != nil {
			t.Fatal(err)
		}
		empty := func() {
			t.Helper()
			if err := os.RemoveAll(child.cfg.State); err != nil {
				t.Fatal(err)
			}
		}
		served := func(by string) {
			t.Helper()
			for _, socket := range []string{child.Address(), child.Address() + ".ttrpc"} {
				if pid, err := peer(socket); err != nil || pid != first {
					t.Errorf("%s: %s is served by %d, %v, want %d", by, socket, pid, err, first)
				}
			}
		}
		for range 2 {
			empty()
			awaitPeer(t, child, func(int) bool { return true })
			served("the same daemon")
		}
		stop()
		if _, err := os.Lstat(child.Address()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the link to a socket that was closed: %v", err)
		}
		empty()
		next, err := New(child.cfg)
		if err != nil {
			t.Fatal(err)
		}
		stop = runChild(t, next)
		served("the next daemon")

		// It ends by itself. What follows is a containerd like any other.
		if err := unix.Kill(first, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		second := awaitPeer(t, next, func(pid int) bool { return pid != first })
		stop()
		if err := unix.Kill(second, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("process %d outlived its daemon: %v", second, err)
		}
	})
}

// A containerd that ends because its state folder was removed is followed by another.
func TestChildEndsWithItsFolder(t *testing.T) {
	child := scriptChild(t, `state=${2%/*}
if [ ! -e "$0.ended" ]; then
	until [ -e "$state/containerd.pid" ]; do sleep 0.01; done
	rm -r "$state"; touch "$0.ended"; exit 1
fi
while :; do sleep 0.05; done`)
	child.cfg.State = filepath.Join(child.cfg.Root, "state")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- child.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	deadline := time.Now().Add(time.Minute)
	for {
		_, pidFile := os.Stat(child.path("containerd.pid"))
		if _, ended := os.Stat(child.binary + ".ended"); ended == nil && pidFile == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("none was started again: %v", pidFile)
		}
		time.Sleep(readyPoll)
	}
}

// A process that can't be reached again, because it listens nowhere, is ended: another takes its
// place.
func TestLostChildThatDoesNotListen(t *testing.T) {
	child := scriptChild(t, "while :; do sleep 0.05; done")
	p, err := child.obtain()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, name := range []string{"containerd.pid", "config.toml"} {
		if err := os.Remove(child.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := scanProcess(child.path("config.toml"))
	if err != nil || found == nil || found.pid != p.pid {
		t.Fatalf("found %+v, %v, want process %d", found, err, p.pid)
	}
	found.close()
	if other, err := scanProcess(child.path("other.toml")); other != nil || err != nil {
		t.Errorf("found %+v, %v for a config that none has", other, err)
	}
	second, err := child.obtain()
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	defer func() { _ = second.end(time.Second) }()
	<-p.done
	if second.pid == p.pid || p.how != "signal: terminated" {
		t.Errorf("process %d ended by %q, and %d is in its place", p.pid, p.how, second.pid)
	}
}
