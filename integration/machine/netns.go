package machine

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
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

// OwnMounts gives the daemons of the machine mounts of their own, before the first is started. They
// don't hear of those of other tests, which a count must not depend on. The test sees none of
// theirs, such as the namespaces of groups.
func (m *Machine) OwnMounts() {
	m.T.Helper()
	made := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			m.mounts, err = os.Open("/proc/thread-self/ns/mnt")
		}
		made <- err
	}()
	if err := <-made; err != nil {
		m.T.Fatalf("make a mount namespace: %v", err)
	}
}

// enterMounts moves the calling thread to the machine's own mounts, if it has such.
func (m *Machine) enterMounts() error {
	if m.mounts == nil {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	return unix.Setns(int(m.mounts.Fd()), unix.CLONE_NEWNS)
}
