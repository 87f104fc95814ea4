package store

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// A Loaded is the result of a Load.
type Loaded struct {
	Wanted   []Wanted
	New      []Wanted // those of Wanted that have a new generation, or were uninstalled before
	Gone     []Wanted // groups that are in no file any more. They stay in Gone until Forget
	Problems []group.FileProblem
	Mended   []Mended // what was damaged or lost, and how it was restored
	// Again is when to load again, because a group is missing from the files, or a change is not in
	// the folder yet. 0 means neither.
	Again time.Duration
}

// pendingAgain is when to try again to put a change into the folder.
const pendingAgain = 10 * time.Second

// Complete reports whether everything was read. Only then is a group that is not in Wanted known to
// be unwanted.
func (l Loaded) Complete() bool { return len(l.Problems) == 0 }

// Load reads the folder. It never fails: a file that can't be read becomes one of the Problems, and
// its groups keep their last good definition.
func (s *Store) Load() Loaded {
	l := &loading{store: s}
	err := s.makeFolders()
	if err != nil {
		l.problem(s.layout.GroupsDir, err)
	}
	if err := s.finishIntents(); err != nil {
		l.problem(s.intentPath(), s.notInFolder(err))
		l.out.Again = pendingAgain
	}
	if !s.loaded {
		if err := s.dropUnfinished(); err != nil {
			l.problem(s.layout.StateDir, err)
		}
	}
	defer func() { s.loaded = true }()
	if l.previous, err = s.mend(); err != nil {
		l.problem(s.layout.StateDir, err)
	}
	l.uninstallPending()
	names, err := s.names()
	if err != nil {
		l.problem(s.layout.GroupsDir, err)
		for _, w := range l.previous {
			l.keepGroup(w, err)
		}
		return l.done()
	}
	l.read(names)
	for _, w := range l.out.Wanted {
		if w.Missing {
			names = append(names, w.File)
		}
	}
	for _, w := range l.out.Gone {
		names = append(names, w.File)
	}
	if err := s.dropApplied(names); err != nil {
		l.problem(s.layout.StateDir, err)
	}
	return l.done()
}

// A loading is the state of one Load.
type loading struct {
	store    *Store
	previous map[string]Wanted // the last good definitions, by group
	files    []file
	out      Loaded
}

// A file is one group file as it is now.
type file struct {
	installed
	name   string
	groups []spec.Group
	read   map[string][]byte // the files that it names, by absolute path
	err    error             // not nil: why it is unusable
}

func (l *loading) read(names []string) {
	for _, name := range names {
		f := file{name: name}
		if f.installed, f.err = l.store.bundle(name); !f.applied && f.err == nil || errors.Is(f.err, disk.ErrDamaged) {
			if f.err = l.store.restoreApplied(name, l.previous); f.err == nil {
				f.installed, f.err = l.store.bundle(name)
			}
		}
		if f.err == nil {
			f.groups, f.read, f.err = l.store.readInstalled(f.Bundle)
		}
		l.files = append(l.files, f)
	}
	l.rejectConflicts()
	for _, f := range l.files {
		if f.err != nil {
			l.problem(l.store.filePath(f.name), f.err)
			l.keepFile(f)
			continue
		}
		l.acceptFile(f)
	}
	l.findGone(names)
}

// rejectConflicts makes a file unusable if its groups conflict with those of others. Unchanged
// files win, then the order of names counts.
func (l *loading) rejectConflicts() {
	var accepted []spec.Group
	for _, w := range l.previous {
		if f := l.file(w.File); f != nil && f.err != nil {
			accepted = append(accepted, w.Group)
		}
	}
	check := func(unchanged bool) {
		for i := range l.files {
			f := &l.files[i]
			if f.err != nil || l.unchanged(*f) != unchanged {
				continue
			}
			if diags := l.store.conflicts(append(slices.Clone(accepted), f.groups...)); diags.HasErrors() {
				f.err = &FileError{Diags: diags}
				continue
			}
			accepted = append(accepted, f.groups...)
		}
	}
	check(true)
	check(false)
}

// unchanged reports whether all groups of the file are defined as they were when the file was last
// good.
func (l *loading) unchanged(f file) bool {
	for _, g := range f.groups {
		if w, ok := l.previous[g.Name]; !ok || w.File != f.name || w.Group.Digest != g.Digest {
			return false
		}
	}
	return true
}

func (l *loading) file(name string) *file {
	i := slices.IndexFunc(l.files, func(f file) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return &l.files[i]
}

// acceptFile makes the groups of a file wanted, and marks the file as used once all of them are on
// disk.
func (l *loading) acceptFile(f file) {
	before := len(l.out.Problems)
	for _, g := range f.groups {
		l.acceptGroup(g, f)
	}
	if f.Used || f.id != "" || len(l.out.Problems) > before {
		return
	}
	if err := l.store.markUsed(f.name); err != nil {
		l.problem(l.store.appliedPath(f.name), err)
	}
}

// acceptGroup makes a group wanted, and writes it if it has changed.
func (l *loading) acceptGroup(g spec.Group, f file) {
	before, known := l.previous[g.Name]
	if !known && exists(l.store.wantedPath(g.Name)) {
		return // it can't be read now, which is one of the problems
	}
	origin := f.originFor(before)
	w := before
	w.Group, w.File, w.Stopped, w.Purge = g, f.name, before.Stopped && before.File != "", false
	w.Pins = origin.ImageDigests[g.Name].Merge(&g, before.Pins)
	changed := !known || before.Group.Digest != g.Digest || w.Pins.Differ(before.Pins)
	if changed {
		w.Generation, w.By, w.Proved, w.Setback = before.Generation+1, origin.By, false, nil
		if origin.Used { // edited by hand, even if the text is again that of the origin
			w.By = group.ByFile
		}
		if known && w.By == group.ByRevert {
			w.Setback = &group.Reversion{Generation: before.Generation, Why: origin.Why}
		}
	}
	if w.By == "" {
		w.By = origin.By // an older daemon wrote it, without a cause
	}
	if origin.By != group.ByRevert && w.Setback != nil {
		w.Setback = nil // an operator has put this very definition there
		changed = true
	}
	if f.id != "" || before.File != f.name {
		w.Install = f.id
	}
	if err := l.store.recordGeneration(&w, before, f); err != nil {
		l.problem(l.store.historyPath(g.Name), err)
	}
	if changed || before.File != f.name || before.Install != w.Install || before.Record != w.Record || !maps.Equal(w.Pins, before.Pins) || before.stub {
		w.stub = false
		if err := l.store.writeJSON(l.store.wantedPath(g.Name), w, whole); err != nil {
			l.problem(l.store.wantedPath(g.Name), err)
		}
	}
	l.out.Wanted = append(l.out.Wanted, w)
	if w.Generation != before.Generation || before.File == "" {
		l.out.New = append(l.out.New, w)
	}
}

// keepGroup makes a group wanted as it was last good. Nothing is done to one whose definition is
// lost.
func (l *loading) keepGroup(w Wanted, why error) {
	if w.stub {
		return
	}
	w.Broken = why
	l.out.Wanted = append(l.out.Wanted, w)
}

// keepFile keeps the groups that a broken file had when it was last good, except those that a good
// file defines now.
func (l *loading) keepFile(f file) {
	for _, w := range l.previous {
		if w.File == f.name && !l.defined(w.Group.Name) {
			l.keepGroup(w, f.err)
		}
	}
}

// findGone finds the groups that are in no file any more. A broken file that was never good may be
// a vanished file under a new name. The groups of vanished files then stay until it is corrected.
func (l *loading) findGone(names []string) {
	renamed := l.newBrokenFile()
	for _, w := range l.previous {
		name := w.Group.Name
		if l.defined(name) || slices.ContainsFunc(l.out.Wanted, func(o Wanted) bool { return o.Group.Name == name }) {
			continue
		}
		if w.stub && slices.ContainsFunc(l.files, func(f file) bool { return f.err != nil }) {
			continue // it may be in that file
		}
		if renamed != nil && w.File != "" && !slices.Contains(names, w.File) {
			l.keepGroup(w, renamed)
			continue
		}
		if l.mayComeBack(w) {
			w.Missing = true
			l.out.Wanted = append(l.out.Wanted, w)
			continue
		}
		l.out.Gone = append(l.out.Gone, w)
	}
	maps.DeleteFunc(l.store.missing, func(name string, _ time.Time) bool {
		_, known := l.previous[name]
		return !known || l.defined(name)
	})
}

// mayComeBack reports whether a group that no file defines may only be missing for a moment: its
// file was removed or edited in the folder, less than the delay ago, and nothing that is wanted now
// needs its place.
func (l *loading) mayComeBack(w Wanted) bool {
	s := l.store
	if f := l.file(w.File); !s.loaded || w.File == "" || f != nil && f.By != group.ByFile {
		return false
	}
	since, known := s.missing[w.Group.Name]
	if !known {
		if s.missing == nil {
			s.missing = map[string]time.Time{}
		}
		since = s.now()
		s.missing[w.Group.Name] = since
	}
	left := s.RemovalDelay - s.now().Sub(since)
	if left <= 0 {
		return false
	}
	var others []spec.Group
	for _, o := range l.out.Wanted {
		if !o.Missing {
			others = append(others, o.Group)
		}
	}
	if s.conflicts(append(others, w.Group)).HasErrors() {
		return false
	}
	if l.out.Again == 0 || left < l.out.Again {
		l.out.Again = left
	}
	return true
}

// newBrokenFile returns the error of a broken file that was never good. It is nil if there is none.
func (l *loading) newBrokenFile() error {
	for _, f := range l.files {
		known := slices.ContainsFunc(slices.Collect(maps.Values(l.previous)), func(w Wanted) bool { return w.File == f.name })
		if f.err != nil && !known {
			return f.err
		}
	}
	return nil
}

// defined reports whether a usable file defines the group.
func (l *loading) defined(group string) bool {
	return slices.ContainsFunc(l.files, func(f file) bool {
		return f.err == nil && slices.ContainsFunc(f.groups, func(g spec.Group) bool { return g.Name == group })
	})
}

func (l *loading) problem(path string, err error) {
	l.out.Problems = append(l.out.Problems, group.FileProblem{Path: path, Err: err})
}

func (l *loading) done() Loaded {
	byName := func(a, b Wanted) int { return strings.Compare(a.Group.Name, b.Group.Name) }
	slices.SortFunc(l.out.Wanted, byName)
	slices.SortFunc(l.out.Gone, byName)
	for _, w := range l.out.Wanted {
		if err := l.store.markStopped(w, l.store.marked(w.Group.Name)); err != nil {
			l.problem(l.store.stoppedPath(w.Group.Name), err)
		}
	}
	l.out.Mended, l.store.mended = l.store.mended, nil
	return l.out
}

// names lists the group files of the folder, and whatever else has the name of one. Reading that
// returns an error.
func (s *Store) names() ([]string, error) {
	entries, err := hostfile.ReadDir(context.Background(), s.layout.GroupsDir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if spec.IsGroupFile(e.Name()) {
			names = append(names, e.Name())
		}
	}
	for _, in := range s.pending {
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(in.names(), name) })
		for _, b := range in.Put {
			names = append(names, b.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// uninstallPending makes the groups of pending removals as markUninstalled will.
func (l *loading) uninstallPending() {
	for _, in := range l.store.pending {
		for name, w := range l.previous {
			if slices.Contains(in.Delete, w.File) {
				w.File, w.Purge = "", in.Purge
				l.previous[name] = w
			}
		}
	}
}

// readWanted returns the last good definitions, by group. With an error it returns those that it
// could read.
func (s *Store) readWanted() (map[string]Wanted, error) {
	known := map[string]Wanted{}
	entries, err := hostfile.ReadDir(context.Background(), filepath.Dir(s.wantedPath("x")))
	if err != nil {
		return known, err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		w, err := s.readWantedFile(strings.TrimSuffix(e.Name(), ".json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // forgotten since
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		known[w.Group.Name] = w
	}
	return known, hint.Join(errs)
}

// List returns the last good definitions in the order of the groups' names. It only reads the disk,
// so it works while no daemon runs.
func (s *Store) List() ([]Wanted, error) {
	known, err := s.readWanted()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // no daemon has been here
	}
	var all []Wanted
	for _, name := range slices.Sorted(maps.Keys(known)) {
		all = append(all, known[name])
	}
	return all, err
}
