package store_test

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

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/shim/store"
)

// errKilled ends a daemon in the middle of what it does to its store.
var errKilled = errors.New("killed")

// killedAt does something with a store, of which the daemon is killed before the nth change of a file. It says which that was;
// nothing if there are not so many.
func killedAt(l layout.Layout, n int, do func(s *store.Store)) (at string) {
	s := store.New(l)
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
func half(t *testing.T, l layout.Layout) {
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
func loadAndForget(s *store.Store) store.Loaded {
	l := s.Load()
	for _, w := range l.Gone {
		if err := s.Forget(w.Group.Name); err != nil {
			panic(err)
		}
	}
	return l
}

// kept is all that the next daemon finds, in words, and the files that there are.
func kept(t *testing.T, l layout.Layout) (lines []string) {
	t.Helper()
	s := store.New(l)
	loadAndForget(s)
	loaded := s.Load()
	for _, w := range loaded.Wanted {
		name := w.Group.Name
		ended, err := s.Ended(name, w.Generation)
		if err != nil {
			t.Fatal(err)
		}
		lives, err := s.Restarts(name)
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
			lines = append(lines, fmt.Sprintf("%s: %d by %s %s %s kept %v, pins %v, %q, %v", name, g.Number, g.By, g.Outcome, g.Why, g.Kept, g.ImageDigests, d.Bundle.HCL, err))
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
	install := func(by group.Cause, files ...string) func(*store.Store) {
		return func(s *store.Store) {
			_, err := s.Install(applied(files...), group.Origin{By: by, Why: map[bool]string{true: "not ready"}[by == group.ByRevert]})
			must(err)
			s.Load()
		}
	}
	conclude := func(number int, o group.Outcome) func(*store.Store) {
		return func(s *store.Store) { must(s.Conclude("job", number, o, "")) }
	}
	pinned := func(by group.Cause, digest string) func(*store.Store) {
		return func(s *store.Store) {
			_, err := s.Install(applied("job.hcl", hosttest.Job), group.Origin{By: by, ImageDigests: map[string]group.ImageDigests{"job": {"registry.example/once:1": digest}}})
			must(err)
			s.Load()
		}
	}
	lives := restart.Records{"once": {Ended: true}}
	job2 := hosttest.Edited(hosttest.Job, "once:1", "once:2")
	edit := func(l layout.Layout, text string) {
		must(os.WriteFile(filepath.Join(l.GroupsDir, "job.hcl"), []byte(text), 0o600))
	}
	for _, tt := range []struct {
		name   string
		before []func(*store.Store)
		hand   func(l layout.Layout) // optional: what an operator does to the folder
		do     func(*store.Store)
	}{
		{"applied", nil, nil, install(group.ByApply, "job.hcl", hosttest.Job)},
		{"two files", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, nil, install(group.ByApply, "job.hcl", job2, "shop.hcl", hosttest.Shop)},
		{"another definition", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job), conclude(1, group.Proved)}, nil, install(group.ByApply, "job.hcl", job2)},
		{"a remark", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, nil, install(group.ByApply, "job.hcl", hosttest.Job+"# mind\n")},
		{"taken back", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job), conclude(1, group.Proved), install(group.ByApply, "job.hcl", job2)}, nil,
			install(group.ByRevert, "job.hcl", hosttest.Job)},
		{"rolled back", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job), conclude(1, group.Proved), install(group.ByApply, "job.hcl", job2), conclude(2, group.Proved)}, nil,
			install(group.ByRollback, "job.hcl", hosttest.Job)},
		{"the one that was taken back, again", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job), install(group.ByApply, "job.hcl", job2), install(group.ByRevert, "job.hcl", hosttest.Job)}, nil,
			install(group.ByApply, "job.hcl", hosttest.Job)},
		{"an old generation is let go of", []func(*store.Store){
			install(group.ByApply, "job.hcl", hosttest.Job), conclude(1, group.Proved), install(group.ByApply, "job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:2")),
			conclude(2, group.Proved), install(group.ByApply, "job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:3")), install(group.ByApply, "job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:4")),
		}, nil, install(group.ByApply, "job.hcl", hosttest.Edited(hosttest.Job, "once:1", "once:5"))},
		{"a moved tag", []func(*store.Store){pinned(group.ByApply, "sha256:a"), conclude(1, group.Proved)}, nil, pinned(group.ByApply, "sha256:b")},
		{"a moved tag, rolled back", []func(*store.Store){pinned(group.ByApply, "sha256:a"), conclude(1, group.Proved), pinned(group.ByApply, "sha256:b"), conclude(2, group.Proved)}, nil,
			pinned(group.ByRollback, "sha256:a")},
		{"images of a generation that had none noted", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, nil, func(s *store.Store) {
			must(s.Pin("job", 1, group.ImageDigests{"registry.example/once:1": "sha256:a"}))
		}},
		{"proved", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, nil, conclude(1, group.Proved)},
		{"not ready", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, nil, conclude(1, group.NotReady)},
		{"edited by hand", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, func(l layout.Layout) { edit(l, job2) }, func(s *store.Store) { s.Load() }},
		{"edited by hand as it was before it was taken back", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job), conclude(1, group.Proved),
			install(group.ByApply, "job.hcl", job2), install(group.ByRevert, "job.hcl", hosttest.Job)}, func(l layout.Layout) {
			edit(l, hosttest.Edited(hosttest.Job, "once:1", "once:3"))
			store.New(l).Load()
			edit(l, hosttest.Job)
		}, func(s *store.Store) { s.Load() }},
		{"renamed by hand", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, func(l layout.Layout) {
			must(os.Rename(filepath.Join(l.GroupsDir, "job.hcl"), filepath.Join(l.GroupsDir, "new.hcl")))
		}, func(s *store.Store) { s.Load() }},
		{"taken away by hand", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, func(l layout.Layout) {
			must(os.Remove(filepath.Join(l.GroupsDir, "job.hcl")))
		}, func(s *store.Store) { loadAndForget(s) }},
		{"removed", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job), conclude(1, group.Proved), install(group.ByApply, "job.hcl", job2)}, nil,
			func(s *store.Store) { must(s.Remove("job", false)); loadAndForget(s) }},
		{"removed after its end", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job), func(s *store.Store) {
			must(errors.Join(s.SetRestarts("job", lives), s.SetEnded("job", &group.Ended{Generation: 1})))
		}}, nil, func(s *store.Store) { must(s.Remove("job", false)); loadAndForget(s) }},
		{"one of its containers has ended", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, nil, func(s *store.Store) { must(s.SetRestarts("job", lives)) }},
		{"none has", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job), func(s *store.Store) { must(s.SetRestarts("job", lives)) }}, nil,
			func(s *store.Store) { must(s.SetRestarts("job", nil)) }},
		{"stopped", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, nil, func(s *store.Store) { must(s.SetStopped("job", true)) }},
		{"started", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job), func(s *store.Store) { must(s.SetStopped("job", true)) }}, nil,
			func(s *store.Store) { must(s.SetStopped("job", false)) }},
		{"ended", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job)}, nil, func(s *store.Store) { must(s.SetEnded("job", &group.Ended{Generation: 1})) }},
		{"to run again", []func(*store.Store){install(group.ByApply, "job.hcl", hosttest.Job), func(s *store.Store) { must(s.SetEnded("job", &group.Ended{Generation: 1})) }}, nil,
			func(s *store.Store) { must(s.SetEnded("job", nil)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // it waits for the disk
			prepared := func() layout.Layout {
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
			tt.do(store.New(l))
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
