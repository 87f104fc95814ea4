package ctrd

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParentOf(t *testing.T) {
	session, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	if p, s, ok := parentOf(os.Getpid()); p != os.Getppid() || s != session || !ok || parent(os.Getpid()) != p {
		t.Errorf("parent %d, session %d, %t; want %d, %d", p, s, ok, os.Getppid(), session)
	}
	if p, s, ok := parentOf(1 << 30); p != 0 || s != 0 || ok {
		t.Errorf("no process: parent %d, session %d, %t", p, s, ok)
	}
}
