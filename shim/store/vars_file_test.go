package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/store"
)

// A file with values for variables is no group file. One of that name that an earlier daemon has
// installed stays one: an upgrade removes no group.
func TestFilesWithVariables(t *testing.T) {
	s, l := newStore(t)
	s.Load()
	if err := os.WriteFile(filepath.Join(l.GroupsDir, "prod.auto.vars.hcl"), []byte("tag = \"1\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Install(applied("job.hcl", hosttest.Job), group.Origin{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"job 1 job.hcl"}, loaded(s)); diff != "" {
		t.Errorf("beside a file with values (-want +got):\n%s", diff)
	}
	if _, err := s.Read(t.Context(), applied("old.vars.hcl", hosttest.Job)[0]); err == nil {
		t.Error("installed under the name of a file with values")
	}
	// The state of a daemon that took any name in .hcl.
	if err := os.Rename(filepath.Join(l.GroupsDir, "job.hcl"), filepath.Join(l.GroupsDir, "old.vars.hcl")); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"applied/job.hcl.json": "applied/old.vars.hcl.json", "wanted/job.json": "wanted/job.json"} {
		text, err := os.ReadFile(filepath.Join(l.StateDir, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(l.StateDir, from)); err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("job.hcl"), []byte("old.vars.hcl"))
		if err := os.WriteFile(filepath.Join(l.StateDir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next := store.New(l)
	if diff := cmp.Diff([]string{"job 1 old.vars.hcl"}, loaded(next)); diff != "" {
		t.Errorf("after an upgrade (-want +got):\n%s", diff)
	}
	if _, err := next.Read(t.Context(), applied("old.vars.hcl", hosttest.Job)[0]); err != nil {
		t.Errorf("apply it again: %v", err)
	}
	// One that was put into the folder by hand has no such record.
	if err := os.Remove(filepath.Join(l.StateDir, "applied/old.vars.hcl.json")); err != nil {
		t.Fatal(err)
	}
	byHand := store.New(l)
	out := byHand.Load()
	if len(out.Wanted) != 1 || len(out.Gone) != 0 || len(out.Problems) != 1 || !strings.Contains(out.Problems[0].Err.Error(), "old.vars.hcl has the name of a file with values") {
		t.Errorf("by hand: wanted %v, gone %v, problems %v", out.Wanted, out.Gone, out.Problems)
	}
	if err := os.Rename(filepath.Join(l.GroupsDir, "old.vars.hcl"), filepath.Join(l.GroupsDir, "job.hcl")); err != nil {
		t.Fatal(err)
	}
	if out = byHand.Load(); len(out.Wanted) != 1 || out.Wanted[0].File != "job.hcl" || len(out.Problems) != 0 {
		t.Errorf("renamed: wanted %v, problems %v", out.Wanted, out.Problems)
	}
}
