package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/store"
)

// tagged is a job whose image is a variable with a default.
var tagged = `
variable "tag" { default = "1" }` + hosttest.Edited(hosttest.Job, `once:1"`, `once:${var.tag}"`)

// newTagged returns a store that has the job with the image once:7, in a generation that has proved
// itself.
func newTagged(t *testing.T) (*store.Store, layout.Layout) {
	t.Helper()
	s, l := newStoreInMemory(t)
	s.Load()
	applyTagged(t, s, "7")
	if err := s.RecordOutcome("job", 1, group.Proved, ""); err != nil {
		t.Fatal(err)
	}
	return s, l
}

func applyTagged(t *testing.T, s *store.Store, tag string) {
	t.Helper()
	b := applied("job.hcl", tagged)
	b[0].Vars = map[string]string{"tag": tag}
	if _, err := s.Install(b, group.Origin{By: group.ByApply}); err != nil {
		t.Fatal(err)
	}
	s.Load()
}

// image returns the image of the only group.
func image(t *testing.T, s *store.Store) string {
	t.Helper()
	l := s.Load()
	if len(l.Wanted) != 1 {
		t.Fatalf("wanted %v, problems %v", l.Wanted, l.Problems)
	}
	return l.Wanted[0].Group.Containers[0].Image
}

// lose removes files of the state folder.
func lose(t *testing.T, l layout.Layout, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(l.StateDir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// A file was applied with a variable, and the record of that is lost. Its group stays as it is,
// even if the file was edited meanwhile: the variable is taken from the generation.
func TestLostVariables(t *testing.T) {
	for _, text := range []string{tagged, tagged + "# a remark\n"} {
		s, l := newTagged(t)
		lose(t, l, "applied/job.hcl.json")
		if err := os.WriteFile(filepath.Join(l.GroupsDir, "job.hcl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*store.Store{s, store.New(l)} {
			if got := image(t, s); got != "registry.example/once:7" {
				t.Errorf("image %s", got)
			}
		}
	}
}

// The record and the definition are both lost. The file is not used with other variables. The error
// says to apply it again, which mends it. If that apply is taken back, nothing is guessed.
func TestLostVariablesForGood(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		s, l := newTagged(t)
		lose(t, l, "generations/job.1.json")
		if err := os.WriteFile(filepath.Join(l.GroupsDir, "job.hcl"), []byte(tagged+"# a remark\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(l.StateDir, "applied", "job.hcl.json")
		if damaged {
			if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			lose(t, l, "applied/job.hcl.json")
		}
		for _, s := range []*store.Store{s, store.New(l), store.New(l)} {
			got := s.Load()
			if len(got.Wanted) != 1 || got.Wanted[0].Group.Containers[0].Image != "registry.example/once:7" || got.Wanted[0].Broken == nil ||
				!strings.Contains(hint.Of(got.Wanted[0].Broken), "apply it again, with its variables") {
				t.Fatalf("wanted %+v", got.Wanted)
			}
		}
		b := applied("job.hcl", tagged)
		b[0].Vars = map[string]string{"tag": "8"}
		undo, err := s.Install(b, group.Origin{By: group.ByApply})
		if err != nil {
			t.Fatal(err)
		}
		if got := image(t, s); got != "registry.example/once:8" {
			t.Errorf("image %s", got)
		}
		if err := undo["job.hcl"]("not ready"); err == nil || !strings.Contains(err.Error(), "are lost") {
			t.Errorf("the undoing said %v", err)
		}
		if l := store.New(l).Load(); len(l.Problems) > 0 || l.Wanted[0].Generation != 2 {
			t.Errorf("after the apply: %+v, problems %v", l.Wanted, l.Problems)
		}
	}
}

// A file that was put into the folder by hand has no record of an apply, and misses none.
func TestNothingIsLostOfAFilePutByHand(t *testing.T) {
	s, l := newStoreInMemory(t)
	s.Load()
	for _, text := range []string{tagged, hosttest.Edited(tagged, `default = "1"`, `default = "2"`)} {
		if err := os.WriteFile(filepath.Join(l.GroupsDir, "job.hcl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*store.Store{s, store.New(l)} {
			if got := s.Load(); len(got.Mended)+len(got.Problems) > 0 {
				t.Errorf("mended %v, problems %v", got.Mended, got.Problems)
			}
		}
	}
	if got := image(t, s); got != "registry.example/once:2" {
		t.Errorf("image %s", got)
	}
}

// Whatever is lost of a group, its generations get no number twice, no definition is overwritten,
// and a stopped group stays stopped.
func TestNumbersAreGivenOnce(t *testing.T) {
	for _, lost := range [][]string{
		{"wanted/job.json"},
		{"wanted/job.json", "history/job.json"},
		{"wanted/job.json", "generations/job.2.json"},
		{"wanted/job.json", "history/job.json", "applied/job.hcl.json"},
		{"history/job.json", "generations/job.1.json"},
	} {
		t.Run(strings.Join(lost, " "), func(t *testing.T) {
			s, l := newTagged(t)
			applyTagged(t, s, "8")
			if err := s.RecordOutcome("job", 2, group.Proved, ""); err != nil {
				t.Fatal(err)
			}
			if err := s.SetStopped("job", true); err != nil {
				t.Fatal(err)
			}
			s.Load()
			lose(t, l, lost...)
			s = store.New(l)
			got := s.Load()
			if len(got.Wanted) != 1 || got.Wanted[0].Generation != 2 || !got.Wanted[0].Stopped || len(got.Mended) == 0 || !got.Complete() {
				t.Errorf("wanted %+v, mended %v, problems %v", got.Wanted, got.Mended, got.Problems)
			}
			if got := image(t, s); got != "registry.example/once:8" {
				t.Errorf("image %s", got)
			}
			before, _ := os.ReadFile(filepath.Join(l.StateDir, "generations", "job.2.json"))
			applyTagged(t, s, "9")
			if w := s.Load().Wanted[0]; w.Generation != 3 || !w.Stopped {
				t.Errorf("the next apply makes generation %d, stopped %v", w.Generation, w.Stopped)
			}
			if after, err := os.ReadFile(filepath.Join(l.StateDir, "generations", "job.2.json")); err != nil || string(after) != string(before) {
				t.Errorf("generation 2 was overwritten: %v", err)
			}
			all, err := s.History("job")
			if err != nil || len(all) == 0 || all[0].Number != 3 {
				t.Errorf("history %+v, error %v", all, err)
			}
		})
	}
}

// A stop comes before anything has noticed that what is wanted is damaged.
func TestStopOfADamagedGroup(t *testing.T) {
	s, l := newTagged(t)
	if err := os.WriteFile(filepath.Join(l.StateDir, "wanted", "job.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.SetStopped("job", true); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*store.Store{s, store.New(l)} {
		if w := s.Load().Wanted; len(w) != 1 || !w[0].Stopped || w[0].Generation != 1 {
			t.Errorf("wanted %+v", w)
		}
	}
}

// All that is left of a stopped group is its mark and its file.
func TestAStoppedGroupIsLostButForItsMark(t *testing.T) {
	s, l := newTagged(t)
	if err := s.SetStopped("job", true); err != nil {
		t.Fatal(err)
	}
	s.Load()
	lose(t, l, "wanted/job.json", "history/job.json", "generations/job.1.json")
	for range 2 {
		if w := store.New(l).Load().Wanted; len(w) != 1 || !w[0].Stopped {
			t.Errorf("wanted %+v", w)
		}
	}
}

// Of a group whose file is broken, the definition is lost. A stop takes it down, and what is kept
// of it is never taken for a definition.
func TestStopOfAGroupWhoseDefinitionIsLost(t *testing.T) {
	_, l := newTagged(t)
	lose(t, l, "wanted/job.json", "generations/job.1.json")
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(l.GroupsDir, "job.hcl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("group {")
	s := store.New(l)
	if got := s.Load(); len(got.Wanted) != 0 || len(got.Mended) != 1 {
		t.Errorf("control: wanted %+v, mended %v", got.Wanted, got.Mended)
	}
	if again := s.Load(); len(again.Mended) > 0 {
		t.Errorf("said twice: %v", again.Mended)
	}
	if err := s.SetStopped("job", true); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*store.Store{s, store.New(l)} {
		if w := s.Load().Wanted; len(w) != 1 || !w[0].Stopped || w[0].Group.Name != "job" {
			t.Errorf("wanted %+v", w)
		}
		if err := s.SetStopped("job", false); hint.Of(err) == "" {
			t.Errorf("start: %v", err)
		}
	}
	write(tagged)
	s.Load()
	write("group {")
	for _, s := range []*store.Store{s, store.New(l)} {
		if w := s.Load().Wanted; len(w) != 1 || !w[0].Stopped || len(w[0].Group.Containers) == 0 {
			t.Errorf("mended and broken again: wanted %+v", w)
		}
	}
}

// A removed group is not forgotten wholly. What is left of it does not bring it back.
func TestAGroupThatIsForgottenInPart(t *testing.T) {
	s, _ := newTagged(t)
	applyTagged(t, s, "8")
	s.RemovalDelay = time.Hour
	if err := s.Remove("job", false); err != nil {
		t.Fatal(err)
	}
	s.Load()
	broken := errors.New("broken")
	s.Disk.Before = func(op disk.Op, path string) error {
		if op == disk.OpRemove && strings.Contains(path, "generations") {
			return broken
		}
		return nil
	}
	if err := s.Forget("job"); !errors.Is(err, broken) {
		t.Errorf("control: forget: %v", err)
	}
	if got := s.Load(); len(got.Wanted) > 0 || len(got.Gone) != 1 {
		t.Errorf("wanted %+v, gone %+v", got.Wanted, got.Gone)
	}
	s.Disk.Before = nil
	if err := s.Forget("job"); err != nil {
		t.Fatal(err)
	}
	if got := s.Load(); len(got.Wanted)+len(got.Gone) > 0 {
		t.Errorf("forgotten: wanted %+v, gone %+v", got.Wanted, got.Gone)
	}
}

// A definition that is lost while the daemon runs is made again with the next load.
func TestADefinitionIsLostMeanwhile(t *testing.T) {
	s, l := newTagged(t)
	lose(t, l, "generations/job.1.json")
	if got := s.Load(); len(got.Problems) > 0 {
		t.Errorf("problems %v", got.Problems)
	}
	if d, err := s.Definition("job", 1); err != nil || d.Bundle.Vars["tag"] != "7" {
		t.Errorf("definition %+v, error %v", d, err)
	}
}

// The definition of a group is lost wholly while its file is broken. Nothing is known of it, so
// nothing is done to it. The control is the same without the broken file: it is gone.
func TestNothingIsDoneToAGroupWhoseDefinitionIsLost(t *testing.T) {
	for _, broken := range []bool{true, false} {
		_, l := newTagged(t)
		lose(t, l, "wanted/job.json", "generations/job.1.json")
		path := filepath.Join(l.GroupsDir, "job.hcl")
		err := os.Remove(path)
		if broken {
			err = os.WriteFile(path, []byte("group {"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		s := store.New(l)
		got := s.Load()
		if len(got.Wanted) != 0 || len(got.Gone) > 0 == broken || got.Complete() == broken {
			t.Errorf("broken %v: wanted %+v, gone %+v, problems %v", broken, got.Wanted, got.Gone, got.Problems)
		}
		if err := os.WriteFile(path, []byte(tagged), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := s.Load(); len(got.Wanted) != 1 || got.Wanted[0].Generation != 1 {
			t.Errorf("broken %v: mended: wanted %+v", broken, got.Wanted)
		}
	}
}

// A file stands in the place of a folder.
func TestAFileInThePlaceOfAFolder(t *testing.T) {
	for _, folder := range []string{"applied", "wanted", "history", "generations", "stopped"} {
		_, l := newTagged(t)
		path := filepath.Join(l.StateDir, folder)
		if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		s := store.New(l)
		got := s.Load()
		if len(got.Wanted) != 1 || got.Wanted[0].Generation != 1 || len(got.Mended) == 0 || len(got.Problems) > 0 {
			t.Errorf("%s: wanted %+v, mended %v, problems %v", folder, got.Wanted, got.Mended, got.Problems)
		}
		if got := image(t, s); got != "registry.example/once:7" {
			t.Errorf("%s: image %s", folder, got)
		}
		if aside := s.Aside(); len(aside) != 1 {
			t.Errorf("%s: set aside: %v", folder, aside)
		}
	}
}

// An install.json that can't be read is set aside, and reported once. Later applies work.
func TestDamagedIntent(t *testing.T) {
	for _, content := range []string{"", "{", "\xff\x00", "folder"} {
		s, l := newTagged(t)
		path := filepath.Join(l.StateDir, "install.json")
		err := os.WriteFile(path, []byte(content), 0o600)
		if content == "folder" {
			err = errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "more"), 0o700))
		}
		if err != nil {
			t.Fatal(err)
		}
		got := s.Load()
		if len(got.Mended) != 1 || !strings.Contains(got.Mended[0].Text, "apply its files again") || len(got.Problems) > 0 {
			t.Errorf("%q: mended %v, problems %v", content, got.Mended, got.Problems)
		}
		if again := s.Load(); len(again.Mended) > 0 {
			t.Errorf("%q: mended again: %v", content, again.Mended)
		}
		applyTagged(t, s, "8")
		aside := s.Aside()
		if len(aside) != 1 || !strings.Contains(aside[0].Err.Error(), "rm -r "+path+".damaged") {
			t.Errorf("%q: set aside: %v", content, aside)
		}
	}
}
