package ctrd

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// Pipes are found that were opened before and after the list that is remembered, and one that was
// closed is not. This process is the shim.
func TestShimPipes(t *testing.T) {
	open := func() (pipe string, ends [2]*os.File) {
		t.Helper()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		if pipe, err = os.Readlink(procPath(os.Getpid(), fmt.Sprint("fd/", r.Fd()))); err != nil {
			t.Fatal(err)
		}
		return pipe, [2]*os.File{r, w}
	}
	var s shimPipes
	found := func(pipes ...string) bool {
		t.Helper()
		held, err := s.find(os.Getpid(), [2]string{pipes[0], pipes[1]})
		if err != nil {
			t.Fatal(err)
		}
		return held[0] != "" && held[1] != ""
	}
	a, ends := open()
	b, _ := open()
	if !found(a, b) {
		t.Error("two pipes are not found")
	}
	listed := s.byShim[os.Getpid()].listed
	if !found(b, a) || s.byShim[os.Getpid()].listed != listed {
		t.Error("pipes that are known are looked for in a new list")
	}
	c, _ := open()
	if !found(b, c) {
		t.Error("a pipe that was opened after the list is not found")
	}
	for _, f := range ends {
		f.Close()
	}
	if found(a, b) {
		t.Error("a pipe that was closed is found")
	}
	if _, err := s.find(1<<30, [2]string{a, b}); err == nil {
		t.Error("a shim that is gone has pipes")
	}
	s.of(1, time.Now().Add(pipesKept))
	if len(s.byShim) != 1 {
		t.Errorf("%d shims are remembered for ever", len(s.byShim)-1)
	}
}
