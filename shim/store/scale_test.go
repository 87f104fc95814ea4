package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/store"
)

// job returns a file with a group of that name.
func job(name string) []group.Bundle {
	return applied(name+".hcl", hosttest.Edited(hosttest.Job, `group "job"`, fmt.Sprintf("group %q", name)))
}

// install installs a file, and accepts that.
func install(t *testing.T, s *store.Store, files []group.Bundle) {
	t.Helper()
	if _, err := s.Install(files, group.Origin{By: group.ByApply}); err != nil {
		t.Fatal(err)
	}
	s.Load()
}

// An installation looks at one file of each other group: what is wanted of it, which a hand may
// have damaged. All else that it needs to know is in lists of folders.
func TestInstallLooksAtOneFileOfEachOther(t *testing.T) {
	const others = 50
	looks := map[int]int{} // by the number of other groups
	for _, n := range []int{1, 1 + others} {
		s, _ := newStore(t)
		s.Load()
		for i := range n {
			install(t, s, job(fmt.Sprintf("job%d", i)))
		}
		counted := store.CountLooks()
		if _, err := s.Install(job("last"), group.Origin{By: group.ByApply}); err != nil {
			t.Fatal(err)
		}
		text, err := s.Read(t.Context(), job("last")[0])
		if err != nil {
			t.Fatal(err)
		}
		l := s.Accept(store.Reading{}, text)
		looks[n] = counted()
		if len(l.Wanted) != n+1 || !l.Complete() {
			t.Fatalf("%d groups are wanted, want %d; problems: %v", len(l.Wanted), n+1, l.Problems)
		}
	}
	if more := looks[1+others] - looks[1]; more != others {
		t.Errorf("beside 1 group it looks at %d files, beside %d at %d: %d more, want %d", looks[1], 1+others, looks[1+others], more, others)
	}
}

// A lost definition and a lost mark are noticed although no file is looked at for them.
func TestAcceptNoticesWhatIsLost(t *testing.T) {
	s, l := newStore(t)
	install(t, s, job("a"))
	install(t, s, job("b"))
	if err := s.SetStopped("b", true); err != nil {
		t.Fatal(err)
	}
	s.Load()
	definition, mark := filepath.Join(l.StateDir, "generations", "a.1.json"), filepath.Join(l.StateDir, "stopped", "b.json")
	if err := os.Rename(definition, definition+".damaged"); err != nil { // as one that was set aside
		t.Fatal(err)
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	s.Load()
	for _, path := range []string{definition, mark} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("it is not made again: %v", err)
		}
	}
}

// Only the group files that have changed are read, unless anything else has changed.
func TestReadChanged(t *testing.T) {
	s, l := newStore(t)
	for _, name := range []string{"a", "b", "c"} {
		install(t, s, job(name))
	}
	all := []string{"a.hcl", "b.hcl", "c.hcl"}
	if r, err := store.New(l).ReadChanged(t.Context(), []string{"b.hcl"}); err != nil || !slices.Equal(r.Files(), all) {
		t.Errorf("the first reading, of a change of one file, has %q, want all: %v", r.Files(), err)
	}
	for _, test := range []struct {
		name  string
		names []string
		want  []string
	}{
		{"unknown", nil, all},
		{"one", []string{"b.hcl"}, []string{"b.hcl"}},
		{"one twice, and ours beside it", []string{"b.hcl", ".sallyport-123", "b.hcl"}, []string{"b.hcl"}},
		{"ours alone", []string{".sallyport-123"}, nil},
		{"one that is gone", []string{"gone.hcl"}, []string{"gone.hcl"}},
		{"a file that others may name", []string{"b.hcl", "proxy.conf"}, all},
		{"a link to a folder", []string{"..data"}, all},
	} {
		r, err := s.ReadChanged(t.Context(), test.names)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Files(); !slices.Equal(got, test.want) {
			t.Errorf("%s (-want +got):\n%s", test.name, cmp.Diff(test.want, got))
		}
	}
	// A file that names another one is read each time, and so is one that can't be used.
	named := hosttest.Edited(hosttest.Edited(hosttest.Job, `group "job"`, `group "d"`), `app "once" {`, `app "once" {
    file "/etc/x.conf" { source = "sub/x.conf" }`)
	if err := os.MkdirAll(filepath.Join(l.GroupsDir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"sub/x.conf": "x", "d.hcl": named, "e.hcl": "group {"} {
		if err := os.WriteFile(filepath.Join(l.GroupsDir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.Load()
	r, err := s.ReadChanged(t.Context(), []string{"b.hcl"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Files(), []string{"b.hcl", "d.hcl", "e.hcl"}; !slices.Equal(got, want) {
		t.Errorf("beside files that depend on others (-want +got):\n%s", cmp.Diff(want, got))
	}
	for _, name := range []string{"d.hcl", "e.hcl"} {
		if err := os.Remove(filepath.Join(l.GroupsDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.Load()
	// What was read of some files counts as what was read of all.
	if err := os.Remove(filepath.Join(l.GroupsDir, "a.hcl")); err != nil {
		t.Fatal(err)
	}
	edited := hosttest.Edited(string(job("b")[0].HCL), "once:1", "once:2")
	if err := os.WriteFile(filepath.Join(l.GroupsDir, "b.hcl"), []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err = s.ReadChanged(t.Context(), []string{"a.hcl", "b.hcl"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"b 2 b.hcl", "c 1 c.hcl", "- a", "- d"} // until they are forgotten
	if got := inWords(s.Accept(r)); !slices.Equal(got, want) {
		t.Errorf("after an edit and a removal (-want +got):\n%s", cmp.Diff(want, got))
	}
}
