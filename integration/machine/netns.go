package machine

import (
	"os/exec"
	"runtime"
	"testing"

	"github.com/vishvananda/netns"
)

// newNetns makes a namespace. It goes away when the test ends.
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

// MustInNetns runs f on a thread of its own in the namespace, and fails the test with its error. f
// starts no goroutine that must be in that namespace too.
func MustInNetns(t testing.TB, ns netns.NsHandle, f func() error) {
	t.Helper()
	if err := InNetns(ns, f); err != nil {
		t.Fatal(err)
	}
}

// InNetns is MustInNetns for a goroutine, which may not end the test. It returns the error of f.
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

// StartIn starts a process in the namespace. The thread ends here, the process goes on.
func StartIn(ns netns.NsHandle, cmd *exec.Cmd) error { return InNetns(ns, cmd.Start) }
