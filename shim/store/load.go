package store

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// A Loaded is what the store says is wanted.
type Loaded struct {
	Wanted   []Wanted
	New      []Wanted // of Wanted, those that are of another generation than before, or were uninstalled
	Gone     []Wanted // groups that were wanted and are in no file any more; known until they are forgotten
	Problems []group.FileProblem
}

// Complete says that everything was read, so that a group that is not wanted is known not to be.
func (l Loaded) Complete() bool { return len(l.Problems) == 0 }

// Load reads the folder. It never fails: what can't be read is a problem, and its groups stay as they were last good.
func (s *Store) Load() Loaded {
	l := &loading{store: s}
	if err := errors.Join(s.makeFolders(), s.finish()); err != nil {
		l.problem(s.layout.GroupsDir, err)
	}
	if err := s.sweepUnfinished(); err != nil {
		l.problem(s.layout.StateDir, err)
	}
	known, err := s.known()
	if err != nil {
		l.problem(s.layout.StateDir, err)
	}
	l.known = known
	names, err := s.names()
	if err != nil {
		l.problem(s.layout.GroupsDir, err)
		for _, w := range known {
			l.keep(w, err)
		}
		return l.done()
	}
	if err := s.sweep(names); err != nil {
		l.problem(s.layout.StateDir, err)
	}
	l.read(names)
	return l.done()
}

// A loading is a Load under way.
type loading struct {
	store *Store
	known map[string]Wanted
	files []file
	out   Loaded
}

// A file is one group file as it is now.
type file struct {
	name   string
	groups []spec.Group
	bundle group.Bundle
	origin group.Origin
	read   map[string][]byte // what the file names, by absolute path
	err    error             // not nil: not usable, and why
}

func (l *loading) read(names []string) {
	for _, name := range names {
		f := file{name: name}
		if f.bundle, f.origin, f.err = l.store.bundle(name); f.err == nil {
			f.groups, f.read, f.err = l.store.readInstalled(f.bundle)
		}
		l.files = append(l.files, f)
	}
	l.settleConflicts()
	for _, f := range l.files {
		if f.err != nil {
			l.problem(l.store.filePath(f.name), f.err)
			l.keepFile(f)
			continue
		}
		l.use(f)
	}
	l.leave(names)
}

// settleConflicts makes a file unusable that can't be had beside others. What was there before wins, then the order of names.
func (l *loading) settleConflicts() {
	var taken []spec.Group
	for _, w := range l.known {
		if f := l.file(w.File); f != nil && f.err != nil {
			taken = append(taken, w.Group)
		}
	}
	settle := func(unchanged bool) {
		for i := range l.files {
			f := &l.files[i]
			if f.err != nil || l.unchanged(*f) != unchanged {
				continue
			}
			if diags := l.store.conflicts(append(slices.Clone(taken), f.groups...)); diags.HasErrors() {
				f.err = &FileError{Diags: diags}
				continue
			}
			taken = append(taken, f.groups...)
		}
	}
	settle(true)
	settle(false)
}

// unchanged says that the file defines just what it did when it was last good.
func (l *loading) unchanged(f file) bool {
	for _, g := range f.groups {
		if w, ok := l.known[g.Name]; !ok || w.File != f.name || w.Group.Digest != g.Digest {
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

// use takes a file over, and notes when all of it is written down.
func (l *loading) use(f file) {
	before := len(l.out.Problems)
	for _, g := range f.groups {
		l.want(g, f)
	}
	if f.origin.Used || len(l.out.Problems) > before {
		return
	}
	if err := l.store.use(f.name); err != nil {
		l.problem(l.store.appliedPath(f.name), err)
	}
}

// want takes a definition over, and writes it down when it is another one.
func (l *loading) want(g spec.Group, f file) {
	before, known := l.known[g.Name]
	w := before
	w.Group, w.File, w.Stopped, w.Purge = g, f.name, before.Stopped && before.File != "", false
	w.Pins = f.origin.ImageDigests[g.Name].Merge(&g, before.Pins)
	changed := !known || before.Group.Digest != g.Digest || w.Pins.Differ(before.Pins)
	if changed {
		w.Generation, w.By, w.Proved, w.Setback = before.Generation+1, f.origin.By, false, nil
		if f.origin.Used { // also where the text is that of then again
			w.By = group.ByFile
		}
		if known && w.By == group.ByRevert {
			w.Setback = &group.Reversion{Generation: before.Generation, Why: f.origin.Why}
		}
	}
	if w.By == "" {
		w.By = f.origin.By // it was written down by a daemon that knew no causes
	}
	if f.origin.By != group.ByRevert && w.Setback != nil {
		w.Setback = nil // somebody has put just this definition there: no more is to be said
		changed = true
	}
	if err := l.store.generate(&w, f); err != nil {
		l.problem(l.store.historyPath(g.Name), err)
	}
	if changed || before.File != f.name || !maps.Equal(w.Pins, before.Pins) {
		if err := l.store.writeJSON(l.store.wantedPath(g.Name), w); err != nil {
			l.problem(l.store.wantedPath(g.Name), err)
		}
	}
	l.out.Wanted = append(l.out.Wanted, w)
	if w.Generation != before.Generation || before.File == "" {
		l.out.New = append(l.out.New, w)
	}
}

func (l *loading) keep(w Wanted, why error) {
	w.Broken = why
	l.out.Wanted = append(l.out.Wanted, w)
}

// keepFile keeps the groups that the file had when it was last good, but those that a good file has now.
func (l *loading) keepFile(f file) {
	for _, w := range l.known {
		if w.File == f.name && !l.defined(w.Group.Name) {
			l.keep(w, f.err)
		}
	}
}

// leave lets go of the groups that are in no file any more. A broken file that was never good may be the renamed one of a
// file that has vanished: then they stay until it is mended.
func (l *loading) leave(names []string) {
	renamed := l.brokenNewcomer()
	for _, w := range l.known {
		name := w.Group.Name
		if l.defined(name) || slices.ContainsFunc(l.out.Wanted, func(o Wanted) bool { return o.Group.Name == name }) {
			continue
		}
		if renamed != nil && w.File != "" && !slices.Contains(names, w.File) {
			l.keep(w, renamed)
			continue
		}
		l.out.Gone = append(l.out.Gone, w)
	}
}

func (l *loading) brokenNewcomer() error {
	for _, f := range l.files {
		known := slices.ContainsFunc(slices.Collect(maps.Values(l.known)), func(w Wanted) bool { return w.File == f.name })
		if f.err != nil && !known {
			return f.err
		}
	}
	return nil
}

// defined says whether a usable file defines the group.
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
	return l.out
}

// names lists the group files of the folder.
func (s *Store) names() ([]string, error) {
	entries, err := os.ReadDir(s.layout.GroupsDir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if spec.IsGroupFile(e.Name()) && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// known reads the last good definitions. What could be read is returned beside an error.
func (s *Store) known() (map[string]Wanted, error) {
	known := map[string]Wanted{}
	entries, err := os.ReadDir(filepath.Dir(s.wantedPath("x")))
	if err != nil {
		return known, err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		w, err := disk.ReadJSON[Wanted](filepath.Join(filepath.Dir(s.wantedPath("x")), e.Name()))
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

// List returns the last good definitions, by name, as they are on disk. It changes nothing, and needs no daemon.
func (s *Store) List() ([]Wanted, error) {
	known, err := s.known()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // no daemon has been here
	}
	var all []Wanted
	for _, name := range slices.Sorted(maps.Keys(known)) {
		all = append(all, known[name])
	}
	return all, err
}
