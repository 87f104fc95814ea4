package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	first, err := takeDaemonLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = takeDaemonLock(dir)
	if problem, ok := errors.AsType[*hint.Error](err); !ok || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid(), ",")) {
		t.Errorf("a second lock: %v, hint %+v", err, problem)
	}
	other, err := takeDaemonLock(t.TempDir())
	if err != nil {
		t.Fatalf("another folder: %v", err)
	}
	other.release()
	first.release()
	again, err := takeDaemonLock(dir)
	if err != nil {
		t.Fatalf("after its release: %v", err)
	}
	again.release()
}

// The process id of a lock replaces a longer one.
func TestLockReplacesALongerID(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "daemon.lock")
	if err := os.WriteFile(path, []byte("12345678901234567890\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := takeDaemonLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	if text, err := os.ReadFile(path); err != nil || string(text) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("it holds %q, %v", text, err)
	}
}

// A daemon starts on a full disk, even if the file of its lock lost its content there.
func TestRootLockOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("disk", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(dir, "daemon.lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("control: the disk has space: %v", err)
	}
	l, err := takeDaemonLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	if _, err := takeDaemonLock(dir); err == nil {
		t.Error("control: a second daemon has the lock too")
	}
}
