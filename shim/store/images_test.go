package store_test

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/store"
)

// The next daemon has the digests of a generation that had none, in one file.
func TestPins(t *testing.T) {
	s, l := newStore(t)
	s.Load()
	if _, err := s.Install(applied("job.hcl", hosttest.Job), group.Origin{By: group.ByApply}); err != nil {
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
	for _, s := range []*store.Store{s, store.New(l)} {
		next := s.Load().Wanted[0]
		if got := fmt.Sprint(next.Pins); got != want || next.Generation != 1 {
			t.Errorf("pins %s of generation %d, want %s", got, next.Generation, want)
		}
		if all, err := s.History("job"); err != nil || len(all) != 1 || fmt.Sprint(all[0].ImageDigests) != want {
			t.Errorf("history %+v, error %v", all, err)
		}
	}
}
