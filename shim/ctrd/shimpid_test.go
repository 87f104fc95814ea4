package ctrd

import (
	"fmt"
	"os"
	"testing"
)

// A shim is looked for once, as long as it lives. This process and its parent are the shims.
func TestShimPIDs(t *testing.T) {
	var s shimPIDs
	looked, found := 0, os.Getpid()
	of := func(group string) int {
		return s.of(group, func() int { looked++; return found })
	}
	for range 3 {
		if pid := of("g"); pid != found || looked != 1 {
			t.Errorf("process %d after %d looks, want %d after 1", pid, looked, found)
		}
	}
	if of("h"); looked != 2 {
		t.Error("the shim of one group is that of another")
	}
	s.note("g", os.Getppid())
	if pid := of("g"); pid != os.Getppid() || looked != 2 {
		t.Errorf("process %d after %d looks, want the one that was noted", pid, looked)
	}
	ended := s.byGroup["g"]
	ended.started += "0" // the number is another process's
	s.byGroup["g"] = ended
	if pid := of("g"); pid != found || looked != 3 {
		t.Errorf("after its end: process %d after %d looks", pid, looked)
	}
	found = 0
	s.note("g", 0)
	for range 2 {
		if pid := of("g"); pid != 0 {
			t.Errorf("process %d, want none", pid)
		}
	}
	if looked != 5 {
		t.Errorf("%d looks: that there is no shim is remembered", looked)
	}
	for n := range 3 * fewShims {
		s.note(fmt.Sprint(n), os.Getpid())
		s.byGroup[fmt.Sprint(n)] = shimPID{pid: 1 << 30, started: "1"}
	}
	if len(s.byGroup) > 2*fewShims {
		t.Errorf("%d shims are remembered that have ended", len(s.byGroup))
	}
}
