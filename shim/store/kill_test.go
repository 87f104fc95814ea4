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

// errKilled ends a daemon in the middle of a change of its store.
var errKilled = errors.New("killed")

// killedAt calls do with a store whose daemon is killed before the nth change of a file. It returns
// that change, or nothing if there are fewer.
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

// writeUnfinished writes every temporary file that a daemon may leave if it is killed during a
// write, and in the state folder those of an earlier version.
func writeUnfinished(t *testing.T, l layout.Layout) {
	t.Helper()
	if err := os.MkdirAll(l.ProofsDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"state/wanted/.job.json1", "state/history/.job.json1", "state/generations/.job.2.json1", "state/applied/.job.hcl.json1",
		"state/ended/.job.json1", "state/lives/.job.json1", "state/.install.json1",
		"state/wanted/.sallyport-1", "state/history/.sallyport-1", "state/generations/.sallyport-1", "state/applied/.sallyport-1",
		"state/ended/.sallyport-1", "state/lives/.sallyport-1", "state/.sallyport-1", "state/proofs/.sallyport-1", "groups.d/.sallyport-1",
	} {
		path = filepath.Join(filepath.Dir(l.StateDir), path)
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// loadAndForget loads, and forgets the groups that are gone.
func loadAndForget(s *store.Store) store.Loaded {
	l := s.Load()
	for _, w := range l.Gone {
		if err := s.Forget(w.Group.Name); err != nil {
			panic(err)
		}
	}
	return l
}

// contents returns what the next daemon finds, in words, and the names of all files.
func contents(t *testing.T, l layout.Layout) (lines []string) {
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
		restarts, err := s.Restarts(name)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s: pins %v, restarts of %d", name, w.Pins, len(restarts)))
		image := w.Group.Containers[len(w.Group.Containers)-1].Image
		lines = append(lines, fmt.Sprintf("%s: generation %d of %s by %s, image %s, proved %v, stopped %v, setback %+v, ended %v, broken %v",
			name, w.Generation, w.File, w.By, image, w.Proved, w.Stopped, w.Setback, ended != nil, w.Broken))
		history, err := s.History(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range history {
			d, err := s.Definition(name, g.Number)
			lines = append(lines, fmt.Sprintf("%s: %d by %s %s %s kept %v, pins %v, %q, %v",
				name, g.Number, g.By, g.Outcome, g.Why, g.Kept, g.ImageDigests, d.Bundle.HCL, err))
		}
	}
	for _, w := range loaded.Gone {
		lines = append(lines, "gone: "+w.Group.Name)
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

// A daemon is killed before, within or after any change of its files. The next one finds either all
// of the requested change or none of it, and no unknown file.
func TestStoreSurvivesAKillAtAnyChange(t *testing.T) {
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	install := func(o group.Origin, files ...string) func(*store.Store) {
		return func(s *store.Store) {
			_, err := s.Install(applied(files...), o)
			must(err)
			s.Load()
		}
	}
	apply := func(files ...string) func(*store.Store) { return install(group.Origin{By: group.ByApply}, files...) }
	pin := func(by group.Cause, digest string) func(*store.Store) {
		pins := map[string]group.ImageDigests{"job": {"registry.example/once:1": digest}}
		return install(group.Origin{By: by, ImageDigests: pins}, "job.hcl", hosttest.Job)
	}
	conclude := func(number int, o group.Outcome) func(*store.Store) {
		return func(s *store.Store) { must(s.RecordOutcome("job", number, o, "")) }
	}
	image := func(tag string) string { return hosttest.Edited(hosttest.Job, "once:1", "once:"+tag) }
	apply1, apply2 := apply("job.hcl", hosttest.Job), apply("job.hcl", image("2"))
	proved1, proved2 := conclude(1, group.Proved), conclude(2, group.Proved)
	revert1 := install(group.Origin{By: group.ByRevert, Why: "not ready"}, "job.hcl", hosttest.Job)
	load := func(s *store.Store) { s.Load() }
	remove := func(s *store.Store) { must(s.Remove("job", false)); loadAndForget(s) }
	setStopped := func(stopped bool) func(*store.Store) {
		return func(s *store.Store) { must(s.SetStopped("job", stopped)) }
	}
	setEnded := func(e *group.Ended) func(*store.Store) {
		return func(s *store.Store) { must(s.SetEnded("job", e)) }
	}
	setRestarts := func(r restart.Records) func(*store.Store) {
		return func(s *store.Store) { must(s.SetRestarts("job", r)) }
	}
	groupEnded, containerEnded := &group.Ended{Generation: 1, At: hosttest.Noon}, restart.Records{"once": {Ended: true}}
	edit := func(l layout.Layout, text string) {
		must(os.WriteFile(filepath.Join(l.GroupsDir, "job.hcl"), []byte(text), 0o600))
	}
	type steps = []func(*store.Store)
	for _, tt := range []struct {
		name   string
		before steps
		hand   func(l layout.Layout) // optional: what an operator does to the folder
		do     func(*store.Store)
	}{
		{"applied", nil, nil, apply1},
		{"two files", steps{apply1}, nil, apply("job.hcl", image("2"), "shop.hcl", hosttest.Shop)},
		{"another definition", steps{apply1, proved1}, nil, apply2},
		{"a remark", steps{apply1}, nil, apply("job.hcl", hosttest.Job+"# mind\n")},
		{"taken back", steps{apply1, proved1, apply2}, nil, revert1},
		{"rolled back", steps{apply1, proved1, apply2, proved2}, nil,
			install(group.Origin{By: group.ByRollback}, "job.hcl", hosttest.Job)},
		{"applied again after it was taken back", steps{apply1, apply2, revert1}, nil, apply1},
		{"more generations than are kept", steps{
			apply1, proved1, apply2, proved2, apply("job.hcl", image("3")), apply("job.hcl", image("4")),
		}, nil, apply("job.hcl", image("5"))},
		{"a moved tag", steps{pin(group.ByApply, "sha256:a"), proved1}, nil, pin(group.ByApply, "sha256:b")},
		{"a moved tag, rolled back", steps{pin(group.ByApply, "sha256:a"), proved1, pin(group.ByApply, "sha256:b"), proved2}, nil,
			pin(group.ByRollback, "sha256:a")},
		{"digests of a generation that had none", steps{apply1}, nil, func(s *store.Store) {
			must(s.Pin("job", 1, group.ImageDigests{"registry.example/once:1": "sha256:a"}))
		}},
		{"proved", steps{apply1}, nil, proved1},
		{"not ready", steps{apply1}, nil, conclude(1, group.NotReady)},
		{"edited by hand", steps{apply1}, func(l layout.Layout) { edit(l, image("2")) }, load},
		{"edited by hand to what it was before it was taken back", steps{apply1, proved1, apply2, revert1}, func(l layout.Layout) {
			edit(l, image("3"))
			store.New(l).Load()
			edit(l, hosttest.Job)
		}, load},
		{"renamed by hand", steps{apply1}, func(l layout.Layout) {
			must(os.Rename(filepath.Join(l.GroupsDir, "job.hcl"), filepath.Join(l.GroupsDir, "new.hcl")))
		}, load},
		{"removed by hand", steps{apply1}, func(l layout.Layout) {
			must(os.Remove(filepath.Join(l.GroupsDir, "job.hcl")))
		}, func(s *store.Store) { loadAndForget(s) }},
		{"removed", steps{apply1, proved1, apply2}, nil, remove},
		{"removed after its end", steps{apply1, setRestarts(containerEnded), setEnded(groupEnded)}, nil, remove},
		{"a container has ended", steps{apply1}, nil, setRestarts(containerEnded)},
		{"no container has ended any more", steps{apply1, setRestarts(containerEnded)}, nil, setRestarts(nil)},
		{"stopped", steps{apply1}, nil, setStopped(true)},
		{"started", steps{apply1, setStopped(true)}, nil, setStopped(false)},
		{"ended", steps{apply1}, nil, setEnded(groupEnded)},
		{"started after its end", steps{apply1, setEnded(groupEnded)}, nil, setEnded(nil)},
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
			old := contents(t, prepared())
			l := prepared()
			tt.do(store.New(l))
			whole := contents(t, l)
			if tt.hand == nil && slices.Equal(old, whole) {
				t.Fatalf("it changes nothing:\n%s", strings.Join(old, "\n"))
			}
			var committed bool // from here on, the next daemon completes the change
			for n := 1; ; n++ {
				l := prepared()
				at := killedAt(l, n, tt.do)
				if at == "" {
					if n == 1 {
						t.Error("nothing was written")
					}
					return
				}
				writeUnfinished(t, l)
				got := contents(t, l)
				switch {
				case slices.Equal(got, whole):
					committed = true
				case committed || !slices.Equal(got, old):
					t.Errorf("killed at change %d, %s (-whole +now):\n%s", n, at, cmp.Diff(whole, got))
				}
			}
		})
	}
}
