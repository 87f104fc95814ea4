package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/shim/store"
)

// The run of a job is there until it is forgotten, and a damaged one is no run.
func TestRun(t *testing.T) {
	s, l := newStore(t)
	read := func(what string, want *restart.Run) {
		t.Helper()
		got, err := s.Run("job")
		if err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: %+v, error %v", what, got, err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	run := &restart.Run{At: hosttest.Noon, Boot: "a", Up: time.Hour, Spent: time.Minute}
	read("at first", nil)
	must(s.SetRun("job", nil))
	must(s.SetRun("job", run))
	read("begun", run)
	must(s.SetRun("job", nil))
	read("forgotten", nil)
	must(s.SetRun("job", run))
	must(s.Forget("job"))
	read("the group is gone", nil)
	for _, text := range []string{"", "{", "{}", "[]"} {
		must(os.WriteFile(filepath.Join(l.StateDir, "timeouts", "job.json"), []byte(text), 0o600))
		if got, err := s.Run("job"); got != nil || !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%q: %+v, error %v", text, got, err)
		}
	}
	must(s.SetRun("job", run))
	read("made again", run)
}
