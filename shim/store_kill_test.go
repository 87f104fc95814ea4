package shim_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
)

// errKilled ends a daemon in the middle of what it does to its store.
var errKilled = errors.New("killed")

// killedAt does something with a store, of which the daemon is killed before the nth change of a file. It says which that was;
// nothing if there are not so many.
func killedAt(l shim.Layout, n int, do func(s *shim.Store)) (at string) {
	s := shim.NewStore(l)
	s.Begin = func(change string) {
		if n--; n == 0 {
			at = change
			panic(errKilled)
		}
	}
	defer func() {
		if r := recover(); r != nil && r != errKilled {
			panic(r)
		}
	}()
	do(s)
	return at
}

// half leaves what a daemon leaves that is killed while it writes a file, whichever that was.
func half(t *testing.T, l shim.Layout) {
	t.Helper()
	for _, path := range []string{
		"state/wanted/.job.json1", "state/history/.job.json1", "state/generations/.job.2.json1", "state/applied/.job.hcl.json1",
		"state/ended/.job.json1", "state/lives/.job.json1", "state/.install.json1", "groups.d/.job.hcl1",
	} {
		path = filepath.Join(filepath.Dir(l.StateDir), path)
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// loadAndForget is a load after which the groups that are to go are gone.
func loadAndForget(s *shim.Store) shim.Loaded {
	l := s.Load()
	for _, w := range l.Gone {
		if err := s.Forget(w.Group.Name); err != nil {
			panic(err)
		}
	}
	return l
}

// kept is all that the next daemon finds, in words, and the files that there are.
func kept(t *testing.T, l shim.Layout) (lines []string) {
	t.Helper()
	s := shim.NewStore(l)
	loadAndForget(s)
	loaded := s.Load()
	for _, w := range loaded.Wanted {
		name := w.Group.Name
		ended, err := s.Ended(name, w.Generation)
		if err != nil {
			t.Fatal(err)
		}
		lives, err := s.Lives(name)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s: pins %v, lives %d", name, w.Pins, len(lives)))
		lines = append(lines, fmt.Sprintf("%s: generation %d of %s by %s, image %s, proved %v, stopped %v, setback %+v, ended %v, broken %v", name, w.Generation, w.File,
			w.By, w.Group.Containers[len(w.Group.Containers)-1].Image, w.Proved, w.Stopped, w.Setback, ended != nil, w.Broken))
		history, err := s.History(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range history {
			d, err := s.Definition(name, g.Number)
			lines = append(lines, fmt.Sprintf("%s: %d by %s %s %s kept %v, pins %v, %q, %v", name, g.Number, g.By, g.Outcome, g.Why, g.Kept, g.Pins, d.Bundle.HCL, err))
		}
	}
	for _, w := range loaded.Gone {
		lines = append(lines, "to go: "+w.Group.Name)
	}
	for _, p := range loaded.Problems {
		lines = append(lines, "problem: "+p.Err.Error())
	}
	for _, dir := range []string{l.GroupsDir, l.StateDir} {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				lines = append(lines, strings.TrimPrefix(path, filepath.Dir(dir)))
			}
			return nil
		})
	}
	return lines
}

// A daemon that is killed before, within or after any of the changes that it makes to its files leaves what the next one takes
// either for all of what was asked for, or for nothing of it; and no file that nobody knows.
func TestStoreOfADaemonKilledAtAnyChange(t *testing.T) {
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	install := func(by shim.Cause, files ...string) func(*shim.Store) {
		return func(s *shim.Store) {
			_, err := s.Install(applied(files...), shim.Origin{By: by, Why: map[bool]string{true: "not ready"}[by == shim.ByRevert]})
			must(err)
			s.Load()
		}
	}
	conclude := func(number int, o shim.Outcome) func(*shim.Store) {
		return func(s *shim.Store) { must(s.Conclude("job", number, o, "")) }
	}
	pinned := func(by shim.Cause, digest string) func(*shim.Store) {
		return func(s *shim.Store) {
			_, err := s.Install(applied("job.hcl", shimtest.Job), shim.Origin{By: by, Pins: map[string]shim.ImageDigests{"job": {"registry.example/once:1": digest}}})
			must(err)
			s.Load()
		}
	}
	lives := shim.History{"once": {Ended: true}}
	job2 := shimtest.Edited(shimtest.Job, "once:1", "once:2")
	edit := func(l shim.Layout, text string) {
		must(os.WriteFile(filepath.Join(l.GroupsDir, "job.hcl"), []byte(text), 0o600))
	}
	for _, tt := range []struct {
		name   string
		before []func(*shim.Store)
		hand   func(l shim.Layout) // optional: what an operator does to the folder
		do     func(*shim.Store)
	}{
		{"applied", nil, nil, install(shim.ByApply, "job.hcl", shimtest.Job)},
		{"two files", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, nil, install(shim.ByApply, "job.hcl", job2, "shop.hcl", shimtest.Shop)},
		{"another definition", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job), conclude(1, shim.Proved)}, nil, install(shim.ByApply, "job.hcl", job2)},
		{"a remark", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, nil, install(shim.ByApply, "job.hcl", shimtest.Job+"# mind\n")},
		{"taken back", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job), conclude(1, shim.Proved), install(shim.ByApply, "job.hcl", job2)}, nil,
			install(shim.ByRevert, "job.hcl", shimtest.Job)},
		{"rolled back", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job), conclude(1, shim.Proved), install(shim.ByApply, "job.hcl", job2), conclude(2, shim.Proved)}, nil,
			install(shim.ByRollback, "job.hcl", shimtest.Job)},
		{"the one that was taken back, again", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job), install(shim.ByApply, "job.hcl", job2), install(shim.ByRevert, "job.hcl", shimtest.Job)}, nil,
			install(shim.ByApply, "job.hcl", shimtest.Job)},
		{"an old generation is let go of", []func(*shim.Store){
			install(shim.ByApply, "job.hcl", shimtest.Job), conclude(1, shim.Proved), install(shim.ByApply, "job.hcl", shimtest.Edited(shimtest.Job, "once:1", "once:2")),
			conclude(2, shim.Proved), install(shim.ByApply, "job.hcl", shimtest.Edited(shimtest.Job, "once:1", "once:3")), install(shim.ByApply, "job.hcl", shimtest.Edited(shimtest.Job, "once:1", "once:4")),
		}, nil, install(shim.ByApply, "job.hcl", shimtest.Edited(shimtest.Job, "once:1", "once:5"))},
		{"a moved tag", []func(*shim.Store){pinned(shim.ByApply, "sha256:a"), conclude(1, shim.Proved)}, nil, pinned(shim.ByApply, "sha256:b")},
		{"a moved tag, rolled back", []func(*shim.Store){pinned(shim.ByApply, "sha256:a"), conclude(1, shim.Proved), pinned(shim.ByApply, "sha256:b"), conclude(2, shim.Proved)}, nil,
			pinned(shim.ByRollback, "sha256:a")},
		{"images of a generation that had none noted", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, nil, func(s *shim.Store) {
			must(s.Pin("job", 1, shim.ImageDigests{"registry.example/once:1": "sha256:a"}))
		}},
		{"proved", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, nil, conclude(1, shim.Proved)},
		{"not ready", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, nil, conclude(1, shim.NotReady)},
		{"edited by hand", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, func(l shim.Layout) { edit(l, job2) }, func(s *shim.Store) { s.Load() }},
		{"edited by hand as it was before it was taken back", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job), conclude(1, shim.Proved),
			install(shim.ByApply, "job.hcl", job2), install(shim.ByRevert, "job.hcl", shimtest.Job)}, func(l shim.Layout) {
			edit(l, shimtest.Edited(shimtest.Job, "once:1", "once:3"))
			shim.NewStore(l).Load()
			edit(l, shimtest.Job)
		}, func(s *shim.Store) { s.Load() }},
		{"renamed by hand", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, func(l shim.Layout) {
			must(os.Rename(filepath.Join(l.GroupsDir, "job.hcl"), filepath.Join(l.GroupsDir, "new.hcl")))
		}, func(s *shim.Store) { s.Load() }},
		{"taken away by hand", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, func(l shim.Layout) {
			must(os.Remove(filepath.Join(l.GroupsDir, "job.hcl")))
		}, func(s *shim.Store) { loadAndForget(s) }},
		{"removed", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job), conclude(1, shim.Proved), install(shim.ByApply, "job.hcl", job2)}, nil,
			func(s *shim.Store) { must(s.Remove("job")); loadAndForget(s) }},
		{"removed after its end", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job), func(s *shim.Store) {
			must(errors.Join(s.SetLives("job", lives), s.SetEnded("job", &shim.Ended{Generation: 1})))
		}}, nil, func(s *shim.Store) { must(s.Remove("job")); loadAndForget(s) }},
		{"one of its containers has ended", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, nil, func(s *shim.Store) { must(s.SetLives("job", lives)) }},
		{"none has", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job), func(s *shim.Store) { must(s.SetLives("job", lives)) }}, nil,
			func(s *shim.Store) { must(s.SetLives("job", nil)) }},
		{"stopped", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, nil, func(s *shim.Store) { must(s.SetStopped("job", true)) }},
		{"started", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job), func(s *shim.Store) { must(s.SetStopped("job", true)) }}, nil,
			func(s *shim.Store) { must(s.SetStopped("job", false)) }},
		{"ended", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job)}, nil, func(s *shim.Store) { must(s.SetEnded("job", &shim.Ended{Generation: 1})) }},
		{"to run again", []func(*shim.Store){install(shim.ByApply, "job.hcl", shimtest.Job), func(s *shim.Store) { must(s.SetEnded("job", &shim.Ended{Generation: 1})) }}, nil,
			func(s *shim.Store) { must(s.SetEnded("job", nil)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // it waits for the disk
			prepared := func() shim.Layout {
				s, l := newStore(t)
				s.Load()
				for _, do := range tt.before {
					do(s)
				}
				if tt.hand != nil {
					tt.hand(l)
				}
				return l
			}
			old := kept(t, prepared())
			l := prepared()
			tt.do(shim.NewStore(l))
			whole := kept(t, l)
			if tt.hand == nil && slices.Equal(old, whole) {
				t.Fatalf("it changes nothing:\n%s", strings.Join(old, "\n"))
			}
			var noted bool // from here on, what was asked for is not lost any more
			for n := 1; ; n++ {
				l := prepared()
				at := killedAt(l, n, tt.do)
				if at == "" {
					if n == 1 {
						t.Error("nothing was written")
					}
					return
				}
				half(t, l)
				got := kept(t, l)
				switch {
				case slices.Equal(got, whole):
					noted = true
				case noted || !slices.Equal(got, old):
					t.Errorf("killed at change %d, %s (-whole +now):\n%s", n, at, cmp.Diff(whole, got))
				}
			}
		})
	}
}
