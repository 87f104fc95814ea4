package machine

import (
	"os/exec"
	"runtime"
	"testing"

	"github.com/vishvananda/netns"
)

// newNetns makes a namespace that lasts as long as the test.
func newNetns(t testing.TB) netns.NsHandle {
	t.Helper()
	type made struct {
		ns  netns.NsHandle
		err error
	}
	c := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := netns.New()
		c <- made{ns, err}
	}()
	m := <-c
	if m.err != nil {
		t.Fatalf("make a network namespace: %v", m.err)
	}
	t.Cleanup(func() { m.ns.Close() })
	return m.ns
}

// MustInNetns runs f on a thread of its own in the namespace. f starts no goroutine that must be there too.
func MustInNetns(t testing.TB, ns netns.NsHandle, f func() error) {
	t.Helper()
	if err := InNetns(ns, f); err != nil {
		t.Fatal(err)
	}
}

func InNetns(ns netns.NsHandle, f func() error) error {
	c := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			c <- err
			return
		}
		c <- f()
	}()
	return <-c
}

// StartIn starts a process in the namespace; its thread ends here, the process goes on.
func StartIn(ns netns.NsHandle, cmd *exec.Cmd) error { return InNetns(ns, cmd.Start) }
