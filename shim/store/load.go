package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// A Loaded has the groups that are wanted after an Accept.
type Loaded struct {
	Wanted   []Wanted
	New      []Wanted // those of Wanted that have a new generation, or were uninstalled before
	Gone     []Wanted // groups that are in no file any more. They stay in Gone until Forget
	Problems []group.FileProblem
	Mended   []Mended // what was damaged or lost, and how it was restored
	// Again is when to read the folder again, because a group is missing from the files, or a
	// change is not in the folder yet. 0 means neither.
	Again time.Duration
	// Reread has the files that were changed while they were read. They have to be read again.
	Reread []string
	// Index has the groups of Wanted that are not missing.
	Index *spec.Index
}

// pendingAgain is when to try again to put a change into the folder.
const pendingAgain = 10 * time.Second

// Complete reports whether everything was read. Only then is a group that is not in Wanted known to
// be unwanted.
func (l Loaded) Complete() bool { return len(l.Problems) == 0 && len(l.Reread) == 0 }

// Open finishes what an earlier daemon has begun. Call it before the first reading, if there may
// have been one. What fails is tried again by each Accept, which reports it.
func (s *Store) Open() error {
	err := errors.Join(s.makeFolders(), s.finishIntents(), s.dropUnfinished())
	_, mendErr := s.mend() // so that List has the groups whose Wanted is lost
	return errors.Join(err, mendErr)
}

// Accept makes what was read the wanted state. texts are of bundles that were installed since the
// last Accept. It never fails: a file that can't be used becomes one of the Problems, and its
// groups keep their last good definition. It reads and writes only the store's own files, unless a
// change is pending.
func (s *Store) Accept(r Reading, texts ...*Text) Loaded {
	l := &loading{store: s, byName: map[string]*candidate{}, defines: map[string]bool{}, wanted: map[string]bool{}, lost: map[string]error{}}
	_ = s.WriteUnwritten() // what can't be written is read from its copy
	err := s.makeFolders()
	if err != nil {
		l.problem(s.layout.GroupsDir, err)
	}
	if err := s.finishIntents(); err != nil {
		l.problem(s.intentPath(), s.notInFolder(err))
		l.out.Again = pendingAgain
	}
	defer func() { s.loaded = true }()
	if l.previous, l.definitions, err = s.mendWith(); err != nil {
		l.problem(s.layout.StateDir, err)
	}
	l.uninstallPending()
	l.out.Reread = s.merge(r)
	l.restoreRecords()
	l.out.Reread = append(l.out.Reread, s.fill(texts)...)
	slices.Sort(l.out.Reread)
	l.out.Reread = slices.Compact(l.out.Reread)
	if err := s.folder.err; err != nil {
		l.problem(s.layout.GroupsDir, err)
		for _, w := range l.previous {
			l.keepGroup(w, err)
		}
		return l.done()
	}
	l.evaluate()
	if r.all {
		l.dropApplied()
	}
	return l.done()
}

// A loading is the state of one Accept.
type loading struct {
	store    *Store
	previous map[string]Wanted // the last good definitions, by group
	// definitions has the names of the files of generations when this began.
	definitions map[string]bool
	files       []*candidate // in the order of their names
	byName      map[string]*candidate
	defines     map[string]bool  // the groups that a usable file defines
	wanted      map[string]bool  // the groups in out.Wanted
	index       spec.Index       // of the groups in out.Wanted that are not missing
	lost        map[string]error // by file: it was applied with what is not known any more
	out         Loaded
}

// A candidate is a file of the folder, and whether it can be used beside the others.
type candidate struct {
	*file
	err error // not nil: why it is unusable
}

// evaluate decides about every file. It looks only at files that are not settled in detail.
func (l *loading) evaluate() {
	for _, name := range slices.Sorted(maps.Keys(l.store.files)) { // only Accept changes it
		f := l.store.files[name]
		c := &candidate{f, f.err}
		switch {
		case l.lost[name] != nil:
			c.err = l.lost[name]
		case f.unread != "":
			c.err = errUnread
		}
		l.files = append(l.files, c)
		l.byName[name] = c
	}
	l.rejectConflicts()
	for _, f := range l.files {
		if f.err == nil {
			for _, g := range f.groups {
				l.defines[g.Name] = true
			}
		}
	}
	for _, f := range l.files {
		switch {
		case f.err == nil:
			l.acceptFile(f)
			continue
		case f.err != errUnread:
			l.problem(l.store.filePath(f.name), f.err)
		}
		l.keepFile(f)
	}
	l.findGone()
}

// restoreRecords makes lost records of what files were applied with again. Such a file is read
// again with its record.
func (l *loading) restoreRecords() {
	for name, f := range l.store.files {
		damaged := errors.Is(f.err, disk.ErrDamaged)
		if !damaged && (f.recorded || f.settled || f.text == nil) {
			continue
		}
		a, restored, err := l.store.restoreApplied(name, l.previous)
		switch {
		case err != nil:
			l.lost[name] = err
		case restored || damaged:
			a.Name, a.Used = name, a.Used || !restored
			l.store.notePut(a.with(f.bundle.HCL, restored))
		}
	}
}

// errUnread is for a file that was installed and is still to be read.
var errUnread = errors.New("it is not read yet")

// dropApplied removes the applied records of files that are not in the folder.
func (l *loading) dropApplied() {
	names := slices.Collect(maps.Keys(l.byName))
	for _, w := range l.out.Wanted {
		if w.Missing {
			names = append(names, w.File)
		}
	}
	for _, w := range l.out.Gone {
		names = append(names, w.File)
	}
	if err := l.store.dropApplied(names); err != nil {
		l.problem(l.store.layout.StateDir, err)
	}
}

// rejectConflicts makes a file unusable if its groups conflict with those of others. Unchanged
// files win, then the order of names counts.
func (l *loading) rejectConflicts() {
	for _, w := range l.previous {
		if f := l.byName[w.File]; f != nil && f.err != nil {
			l.index.Add([]spec.Group{w.Group})
		}
	}
	check := func(unchanged bool) {
		for _, f := range l.files {
			if f.err != nil || l.unchanged(f) != unchanged {
				continue
			}
			if diags := l.index.Conflicts(f.groups, nil); diags.HasErrors() {
				f.err = &FileError{Diags: diags}
				continue
			}
			l.index.Add(f.groups)
		}
	}
	check(true)
	check(false)
}

// unchanged reports whether all groups of the file are defined as they were when the file was last
// good.
func (l *loading) unchanged(f *candidate) bool {
	for _, g := range f.groups {
		if w, ok := l.previous[g.Name]; !ok || w.File != f.name || w.Group.Digest != g.Digest {
			return false
		}
	}
	return true
}

// acceptFile makes the groups of a file wanted, and marks the file as used once all of them are on
// disk.
func (l *loading) acceptFile(f *candidate) {
	if f.settled && l.asAccepted(f) {
		for _, g := range f.groups {
			w := l.previous[g.Name]
			w.Group = g
			l.want(w)
		}
		return
	}
	before := len(l.out.Problems)
	for _, g := range f.groups {
		l.acceptGroup(g, f.file)
	}
	if len(l.out.Problems) > before {
		return
	}
	if !f.origin.Used && f.id == "" {
		if err := l.store.markUsed(f.name); err != nil {
			l.problem(l.store.appliedPath(f.name), err)
			return
		}
		f.origin = used(f.origin)
	}
	f.settled = true
}

// asAccepted reports whether the wanted files of all groups are as they were written when the file
// was last accepted, and their definitions are there. It asks the disk nothing: with many groups,
// an Accept would look at many files for each that has changed.
func (l *loading) asAccepted(f *candidate) bool {
	for _, g := range f.groups {
		w := l.previous[g.Name]
		if w.stub || f.id != "" && w.Install != f.id || !l.hasDefinition(g.Name, w.Generation) {
			return false
		}
	}
	return l.unchanged(f)
}

// hasDefinition reports whether there was a definition when the Accept began, written or not.
func (l *loading) hasDefinition(name string, number int) bool {
	path := l.store.definitionPath(name, number)
	if content, unwritten := l.store.unwritten.get(path); unwritten {
		return len(content) > 0
	}
	return l.definitions[filepath.Base(path)]
}

// want makes a group wanted.
func (l *loading) want(w Wanted) {
	l.out.Wanted = append(l.out.Wanted, w)
	l.wanted[w.Group.Name] = true
}

// acceptGroup makes a group wanted, and writes it if it has changed.
func (l *loading) acceptGroup(g spec.Group, f *file) {
	before, known := l.previous[g.Name]
	if !known && l.store.exists(l.store.wantedPath(g.Name)) {
		return // it can't be read now, which is one of the problems
	}
	origin := f.originFor(before)
	w := before
	w.Group, w.File, w.Stopped, w.Purge = g, f.name, before.Stopped && (before.File != "" || before.stub), false
	w.Pins = f.digestsFor(&g, origin, before)
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
		delete(l.store.stubs, g.Name)
		if err := l.store.keepJSON(l.store.wantedPath(g.Name), w, whole); err != nil {
			l.problem(l.store.wantedPath(g.Name), err)
		}
	}
	l.want(w)
	if w.Generation != before.Generation || before.File == "" {
		l.out.New = append(l.out.New, w)
	}
}

// keepGroup makes a group wanted as it was last good. Nothing is done to one whose definition is
// lost, unless it is stopped: it is taken down.
func (l *loading) keepGroup(w Wanted, why error) {
	if w.stub && !w.Stopped {
		return
	}
	if why != errUnread {
		w.Broken = why
	}
	l.index.Add([]spec.Group{w.Group})
	l.want(w)
}

// keepFile keeps the groups that a broken file had when it was last good, except those that a good
// file defines now.
func (l *loading) keepFile(f *candidate) {
	for _, w := range l.previous {
		if w.File == f.name && !l.defines[w.Group.Name] {
			l.keepGroup(w, f.err)
		}
	}
}

// findGone finds the groups that are in no file any more. A broken file that was never good may be
// a vanished file under a new name. The groups of vanished files then stay until it is corrected.
func (l *loading) findGone() {
	renamed := l.newBrokenFile()
	for _, w := range l.previous {
		name := w.Group.Name
		if l.defines[name] || l.wanted[name] {
			continue
		}
		if i := slices.IndexFunc(l.files, func(f *candidate) bool { return f.err != nil }); w.stub && i >= 0 {
			l.keepGroup(w, l.files[i].err) // it may be in that file
			continue
		}
		if renamed != nil && w.File != "" && l.byName[w.File] == nil {
			l.keepGroup(w, renamed)
			continue
		}
		if err := l.asValues(w); err != nil {
			l.problem(filepath.Join(l.store.layout.GroupsDir, w.File), err)
			l.keepGroup(w, err)
			continue
		}
		if l.mayComeBack(w) {
			w.Missing = true
			l.want(w)
			continue
		}
		l.out.Gone = append(l.out.Gone, w)
	}
	maps.DeleteFunc(l.store.missing, func(name string, _ time.Time) bool {
		_, known := l.previous[name]
		return !known || l.defines[name]
	})
}

// asValues returns an error if the file of a group is there and is not read: its name is that of a
// file with values of variables, which an older daemon took for any other.
func (l *loading) asValues(w Wanted) error {
	if !spec.IsVarsFile(w.File) || l.byName[w.File] != nil {
		return nil
	}
	if _, err := lstat(filepath.Join(l.store.layout.GroupsDir, w.File)); err != nil {
		return nil
	}
	return &hint.Error{
		Err:  fmt.Errorf("%s has the name of a file with values for variables, and is not read as that of group %s", w.File, w.Group.Name),
		Hint: "rename it, such as to " + w.Group.Name + ".hcl: the group runs on meanwhile",
	}
}

// mayComeBack reports whether a group that no file defines may only be missing for a moment: its
// file was removed or edited in the folder, less than the delay ago, and nothing that is wanted now
// needs its place.
func (l *loading) mayComeBack(w Wanted) bool {
	s := l.store
	if f := l.byName[w.File]; !s.loaded || w.File == "" || f != nil && f.origin.By != group.ByFile {
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
	if l.index.Conflicts([]spec.Group{w.Group}, nil).HasErrors() {
		return false
	}
	if l.out.Again == 0 || left < l.out.Again {
		l.out.Again = left
	}
	return true
}

// newBrokenFile returns the error of a broken file that was never good. It is nil if there is none.
func (l *loading) newBrokenFile() error {
	known := map[string]bool{}
	for _, w := range l.previous {
		known[w.File] = true
	}
	for _, f := range l.files {
		if f.err != nil && !known[f.name] {
			return f.err
		}
	}
	return nil
}

func (l *loading) problem(path string, err error) {
	l.out.Problems = append(l.out.Problems, group.FileProblem{Path: path, Err: err})
}

func (l *loading) done() Loaded {
	byName := func(a, b Wanted) int { return strings.Compare(a.Group.Name, b.Group.Name) }
	slices.SortFunc(l.out.Wanted, byName)
	slices.SortFunc(l.out.Gone, byName)
	l.markStopped()
	l.out.Mended, l.store.mended = l.store.mended, nil
	l.out.Index = &l.index
	return l.out
}

// markStopped makes the marks of stopped groups agree with what is wanted.
func (l *loading) markStopped() {
	marked, unread := l.store.namesIn(filepath.Dir(l.store.stoppedPath("x")))
	for _, w := range l.out.Wanted {
		_, has := slices.BinarySearch(marked, w.Group.Name)
		if unread != nil {
			has = l.store.marked(w.Group.Name)
		}
		if err := l.store.markStopped(w, has); err != nil {
			l.problem(l.store.stoppedPath(w.Group.Name), err)
		}
	}
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
	names, err := s.namesIn(filepath.Dir(s.wantedPath("x")))
	if err != nil {
		return known, err
	}
	var errs []error
	for _, name := range names {
		w, err := s.readWantedFile(name)
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

// A wantedFile is a file of a wanted group, as it was read.
type wantedFile struct {
	info fs.FileInfo
	Wanted
}

// readWantedFile reads the file of one group. It does not read a file again that is as it was. The
// store replaces such a file and never writes into it, so a new one is another file.
func (s *Store) readWantedFile(name string) (Wanted, error) {
	path := s.wantedPath(name)
	if _, unwritten := s.unwritten.get(path); unwritten {
		return s.decodeWanted(name)
	}
	info, err := lstat(path)
	if err != nil {
		return Wanted{}, err
	}
	s.mu.Lock()
	was, ok := s.wantedFiles[path]
	s.mu.Unlock()
	if ok && os.SameFile(was.info, info) && was.info.Size() == info.Size() && was.info.ModTime().Equal(info.ModTime()) {
		return was.Wanted, nil
	}
	w, err := s.decodeWanted(name)
	if err != nil {
		return w, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wantedFiles == nil {
		s.wantedFiles = map[string]wantedFile{}
	}
	s.wantedFiles[path] = wantedFile{info, w}
	return w, nil
}

func (s *Store) decodeWanted(name string) (Wanted, error) {
	w, err := readJSON[Wanted](s, s.wantedPath(name))
	if err == nil && (w.Group.Name != name || w.Generation < 1) {
		return Wanted{}, disk.Damaged(s.wantedPath(name), "it is not about group "+name)
	}
	return w, err
}

// forgetRead has a file of a wanted group read again. It is about to be replaced.
func (s *Store) forgetRead(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wantedFiles, path)
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
