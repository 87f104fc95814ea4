package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/store"
)

// A daemon is killed between the two writes of Pin. The next one makes the second write.
func TestPinsSurviveAKillBetweenTheirWrites(t *testing.T) {
	s, l := newStore(t)
	s.Load()
	if _, err := s.Install(applied("job.hcl", hosttest.Job), group.Origin{By: group.ByApply}); err != nil {
		t.Fatal(err)
	}
	s.Load()
	wanted := filepath.Join(l.StateDir, "wanted", "job.json")
	before, err := os.ReadFile(wanted)
	if err != nil {
		t.Fatal(err)
	}
	ref := s.Load().Wanted[0].Group.Containers[0].Image
	for _, p := range []group.ImageDigests{{ref: "sha256:a", "of no container": "sha256:b"}, {ref: "sha256:later"}} {
		if err := s.Pin("job", 1, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Pin("job", 7, group.ImageDigests{ref: "sha256:of another generation"}); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint(group.ImageDigests{ref: "sha256:a"})
	if got := fmt.Sprint(s.Load().Wanted[0].Pins); got != want {
		t.Errorf("pins %s, want %s", got, want)
	}
	if err := os.WriteFile(wanted, before, 0o600); err != nil {
		t.Fatal(err)
	}
	next := store.New(l).Load().Wanted[0]
	if got := fmt.Sprint(next.Pins); got != want || next.Generation != 1 {
		t.Errorf("the next daemon has pins %s of generation %d, want %s", got, next.Generation, want)
	}
}
