package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/store"
)

// A daemon is killed at any write of a new generation. The next one makes the same generation. The
// test puts files back as they were before the change, as if the kill had come before their writes.
func TestGenerationsSurviveAKillAtAnyWrite(t *testing.T) {
	second := hosttest.Edited(hosttest.Job, "once:1", "once:2")
	for _, lost := range [][]string{
		{"applied/job.hcl.json", "wanted/job.json"},
		{"applied/job.hcl.json", "wanted/job.json", "history/job.json"},
		{"applied/job.hcl.json", "wanted/job.json", "history/job.json", "generations/job.2.json"},
	} {
		t.Run(lost[len(lost)-1], func(t *testing.T) {
			s, l := newStore(t)
			s.Load()
			if _, err := s.Install(applied("job.hcl", hosttest.Job), group.Origin{By: group.ByApply}); err != nil {
				t.Fatal(err)
			}
			s.Load()
			if err := s.RecordOutcome("job", 1, group.Proved, ""); err != nil {
				t.Fatal(err)
			}
			before := map[string][]byte{}
			for _, name := range lost {
				before[name], _ = os.ReadFile(filepath.Join(l.StateDir, name))
			}
			if _, err := s.Install(applied("job.hcl", second), group.Origin{By: group.ByApply}); err != nil {
				t.Fatal(err)
			}
			// The kill comes after the installation.
			before["applied/job.hcl.json"], _ = os.ReadFile(filepath.Join(l.StateDir, "applied/job.hcl.json"))
			want := loaded(s)
			history, err := s.History("job")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range lost {
				path := filepath.Join(l.StateDir, name)
				err := os.WriteFile(path, before[name], 0o600)
				if before[name] == nil {
					err = os.Remove(path)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			next := store.New(l)
			if diff := cmp.Diff(want, loaded(next)); diff != "" {
				t.Errorf("loaded (-want +got):\n%s", diff)
			}
			again, err := next.History("job")
			if err != nil {
				t.Fatal(err)
			}
			for i := range again {
				again[i].At = history[i].At // the generation was accepted again
			}
			if diff := cmp.Diff(history, again); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
			if d, err := next.Definition("job", 2); err != nil || string(d.Bundle.HCL) != second {
				t.Errorf("generation 2: %v\n%s", err, d.Bundle.HCL)
			}
			if number, d, err := next.RollbackTarget("job", digestOf(next)); err != nil || number != 1 || string(d.Bundle.HCL) != hosttest.Job {
				t.Errorf("the rollback target is generation %d: %v", number, err)
			}
		})
	}
}

// digestOf returns the digest of the wanted job.
func digestOf(s *store.Store) string { return s.Load().Wanted[0].Group.Digest }

// A daemon that kept no history has left a state folder. What it wanted does not change.
func TestGenerationsOfADaemonWithoutHistory(t *testing.T) {
	s, l := newStore(t)
	s.Load()
	if err := os.WriteFile(filepath.Join(l.GroupsDir, "job.hcl"), []byte(hosttest.Job), 0o600); err != nil {
		t.Fatal(err)
	}
	want := loaded(s)
	for _, name := range []string{"history", "generations"} {
		if err := os.RemoveAll(filepath.Join(l.StateDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, loaded(store.New(l))); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	all, err := s.History("job")
	if err != nil || len(all) != 1 || all[0].Number != 1 || !all[0].Kept {
		t.Errorf("history %+v, error %v", all, err)
	}
}

// A proved generation is not on trial again with the next daemon, although what is wanted is
// written only once. An older daemon finds the proof in the history as well.
func TestProofIsWrittenOnce(t *testing.T) {
	s, l := newStore(t)
	s.Load()
	if _, err := s.Install(applied("job.hcl", hosttest.Job), group.Origin{By: group.ByApply}); err != nil {
		t.Fatal(err)
	}
	s.Load()
	if got := store.New(l).Load().Wanted; len(got) != 1 || got[0].Proved {
		t.Errorf("the control, before the proof: wanted %+v", got)
	}
	if err := s.RecordOutcome("job", 1, group.Proved, ""); err != nil {
		t.Fatal(err)
	}
	if got := store.New(l).Load().Wanted; len(got) != 1 || !got[0].Proved {
		t.Errorf("wanted %+v", got)
	}
}

// Groups that were changed together have the same sum. Neither the time between their writes nor a
// kill between them matters.
func TestChangeSum(t *testing.T) {
	s, l := newStore(t)
	s.Load()
	install := func(s *store.Store, text string) {
		if _, err := s.Install(applied("all.hcl", text), group.Origin{By: group.ByApply}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		s.Load()
	}
	install(s, hosttest.Job+hosttest.Shop)
	again := hosttest.Edited(hosttest.Shop, `web:1"`, `web:1"`+"\n    command = [\"/bin/web\"]")
	both := hosttest.Edited(hosttest.Job, "once:1", "once:2") + again
	if at := killedAt(l, 8, func(s *store.Store) { install(s, both) }); at != "write generations" {
		t.Errorf("killed before %q: want a kill between the writes of the two groups", at)
	}
	s = store.New(l)
	s.Load()
	change := func(group string) string {
		all, err := s.History(group)
		if err != nil || len(all) == 0 || all[0].Change == "" {
			t.Fatalf("%s: %+v, %v", group, all, err)
		}
		return all[0].Change
	}
	if change("job") != change("shop") {
		t.Error("the groups were changed together, but their sums differ")
	}
	install(s, both+"# a remark\n")
	if change("job") != change("shop") {
		t.Error("the sums differ after a remark")
	}
	install(s, hosttest.Edited(hosttest.Job, "once:1", "once:3")+again)
	if change("job") == change("shop") {
		t.Error("one group was changed alone, but their sums are equal")
	}
}
