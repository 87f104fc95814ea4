package bound

import (
	"errors"
	"os"
	"testing"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	want := func(pid int) {
		t.Helper()
		if got, err := Holder(dir); err != nil || got != pid {
			t.Errorf("holder %d, %v; want %d", got, err, pid)
		}
	}
	want(0)
	lock, err := Lock(dir)
	must(t, err)
	want(os.Getpid())
	if _, err := Lock(dir); !errors.Is(err, ErrHeld) {
		t.Errorf("a second lock: %v", err)
	}
	entries, err := os.ReadDir(dir) // which opens and closes it
	if err != nil || len(entries) > 0 {
		t.Errorf("the lock leaves %v, %v", entries, err)
	}
	want(os.Getpid())
	must(t, lock.Close())
	want(0)
	if _, err := Holder(dir + "/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}
