package store

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// A Reading has files of the folder as they were at one time.
//
//	ReadFolder, ReadFiles: any file system ──► Reading ──► Accept writes what is wanted
//	      │ begun                                             ▲
//	      └──────────── Install, Remove change a file ────────┘
//
// It is taken without the right to the store, so the store may have changed meanwhile. The clock
// counts what begins a reading and what changes a file. What a Reading has of a file counts only if
// the reading began after the file was last changed or accepted.
type Reading struct {
	begun int64
	all   bool             // of the whole folder: a file that is not in files is not there
	err   error            // why the folder can't be listed
	files map[string]*file // by name. A nil file is not there
}

// Bundle returns a file of the reading with what it was applied with. ok is false for a file that
// is not there or can't be read.
func (r Reading) Bundle(name string) (b group.Bundle, ok bool) {
	f := r.files[name]
	if f == nil || f.text == nil {
		return group.Bundle{}, false
	}
	return f.bundle, true
}

// A file is one group file as it was read. Only Accept changes it.
type file struct {
	installed
	name    string
	groups  []spec.Group
	text    *Text  // nil: it was not read, or is unread
	err     error  // not nil: why it is unusable
	unread  string // the sum of a text that was installed and has no Text yet
	settled bool   // all of it is on disk as wanted
}

// take makes the text that of the file, which is at the path.
func (f *file) take(t *Text, path string) {
	f.text, f.err, f.unread, f.groups = t, t.err, "", t.groupsIn(path)
}

// same reports whether the file was read as old, text and origin. It may have been read just before
// it was marked as used.
func (f *file) same(old *file) bool {
	if f.text == nil || f.text != old.text || f.id != old.id || f.recorded != old.recorded || !maps.Equal(f.bundle.Locked, old.bundle.Locked) {
		return false
	}
	return reflect.DeepEqual(f.origin, old.origin) || old.settled && reflect.DeepEqual(used(f.origin), old.origin)
}

// readers is how many files are read at the same time. Each of them may be on a file system that
// does not answer.
const readers = 8

// ReadFolder reads all group files. It parses those that have changed. The error is that of a ctx
// that has ended.
func (s *Store) ReadFolder(ctx context.Context) (Reading, error) {
	r := Reading{begun: s.clock.Add(1), all: true, files: map[string]*file{}}
	var names []string
	names, r.err = s.names(ctx)
	return s.readFiles(ctx, r, names)
}

// ReadFiles is ReadFolder for some of the files.
func (s *Store) ReadFiles(ctx context.Context, names ...string) (Reading, error) {
	return s.readFiles(ctx, Reading{begun: s.clock.Add(1), files: map[string]*file{}}, names)
}

// ReadChanged is ReadFiles for what has changed in the folder. names are names in the folder, and
// no names mean that anything may have changed. If something that is no group file has changed,
// all files are read, since one may name it. Our own files count for nothing while they are
// written. Files that can't be used are read each time, and those that name files on the disk.
func (s *Store) ReadChanged(ctx context.Context, names []string) (Reading, error) {
	var files []string
	for _, name := range names {
		switch {
		case s.checkName(name) == nil:
			files = append(files, name)
		case !strings.HasPrefix(name, disk.TempPrefix):
			return s.ReadFolder(ctx)
		}
	}
	s.mu.Lock()
	listed := s.full > 0 && s.folder.err == nil
	s.mu.Unlock()
	if len(names) == 0 || !listed {
		return s.ReadFolder(ctx)
	}
	files = append(files, s.dependent()...)
	slices.Sort(files)
	return s.ReadFiles(ctx, slices.Compact(files)...)
}

// dependent returns the files that may be another definition by now although their text is the
// same.
func (s *Store) dependent() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, f := range s.files {
		depends := f.err != nil || f.text == nil
		if !depends {
			for path := range f.text.named {
				_, applied := f.bundle.Files[path]
				depends = depends || !applied
			}
		}
		if depends {
			names = append(names, name)
		}
	}
	return names
}

func (s *Store) readFiles(ctx context.Context, r Reading, names []string) (Reading, error) {
	var g errgroup.Group
	g.SetLimit(readers)
	var mu sync.Mutex
	for _, name := range names {
		if s.checkName(name) != nil {
			continue // it is no file of the folder
		}
		g.Go(func() error {
			done := s.nowReading(name)
			defer done()
			f, err := s.readFile(ctx, name)
			if !r.all && errors.Is(f.err, fs.ErrNotExist) {
				f = nil
			}
			mu.Lock()
			defer mu.Unlock()
			r.files[name] = f
			return err
		})
	}
	err := g.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r, err
}

// readFile reads one file of the folder. Its diagnostics name the file in the folder, since that is
// the one to correct, not the one it was applied from.
func (s *Store) readFile(ctx context.Context, name string) (*file, error) {
	f := &file{name: name}
	if f.installed, f.err = s.bundle(ctx, name); f.err != nil {
		return f, nil
	}
	t, err := s.parse(ctx, s.filePath(name), f.bundle)
	if err != nil {
		return f, err
	}
	f.take(t, s.filePath(name))
	return f, nil
}

// Probe reads a file of the folder and does not parse it. If its file system gives no answer, later
// reads of it end at once.
func (s *Store) Probe(ctx context.Context, name string) { _, _ = s.bundle(ctx, name) }

// ProbeFolder returns an error if the folder's file system gives no answer. A missing folder is no
// error.
func (s *Store) ProbeFolder(ctx context.Context) error {
	if _, err := hostfile.Stat(ctx, s.layout.GroupsDir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// names lists the group files of the folder, and whatever else has the name of one. Reading that
// returns an error.
func (s *Store) names(ctx context.Context) ([]string, error) {
	entries, err := hostfile.ReadDir(ctx, s.layout.GroupsDir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if s.isGroupFile(e.Name()) {
			names = append(names, e.Name())
		}
	}
	for _, in := range s.pendingNow() {
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(in.names(), name) })
		for _, b := range in.Put {
			names = append(names, b.Name)
		}
	}
	return names, nil
}

// nowReading notes that a file is being read until done is called.
func (s *Store) nowReading(name string) (done func()) {
	begun := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading == nil {
		s.reading = map[*string]readingOf{}
	}
	key := &name
	s.reading[key] = readingOf{name, begun}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.reading, key)
	}
}

// A readingOf is a file that is being read.
type readingOf struct {
	name  string
	since time.Time
}

// ReadingLongest returns the file that has been read for the longest time now, and since when. It
// is empty if none is.
func (s *Store) ReadingLongest() (name string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reading {
		if name == "" || r.since.Before(since) {
			name, since = r.name, r.since
		}
	}
	return name, since
}

// A folder has the files as they were when they were last read. The store's mu guards it.
type folder struct {
	files map[string]*file
	at    map[string]int64 // by file, when it was last changed or accepted. Also of files that are gone
	full  int64            // when the last accepted reading of the whole folder began
	err   error            // of that: why the folder can't be listed

	reading map[*string]readingOf
}

func (d *folder) changedAt(name string) int64 {
	if at, ok := d.at[name]; ok {
		return at
	}
	return d.full
}

// merge takes what a reading has of each file, unless the file was changed later. It returns the
// files that differ and have to be read again.
func (s *Store) merge(r Reading) (again []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, f := range r.files {
		if !s.mergeFile(name, f, r.begun) {
			again = append(again, name)
		}
	}
	if !r.all || r.begun < s.full {
		return again
	}
	s.full, s.folder.err = r.begun, r.err
	if r.err != nil {
		return again
	}
	for name := range s.files {
		if _, there := r.files[name]; !there && !s.mergeFile(name, nil, r.begun) {
			again = append(again, name)
		}
	}
	for name, at := range s.at {
		if s.files[name] == nil && at <= r.begun {
			delete(s.at, name)
		}
	}
	return again
}

// mergeFile takes one file. It reports whether the file is as it was read. The caller holds mu.
func (s *Store) mergeFile(name string, f *file, begun int64) bool {
	old := s.files[name]
	if begun < s.changedAt(name) {
		switch {
		case old == nil || f == nil:
			return old == nil && f == nil
		case old.unread != "":
			return f.text != nil && f.text.sum == old.unread
		}
		return f.text == old.text
	}
	s.at[name] = begun
	switch {
	case f == nil:
		delete(s.files, name)
	case old == nil || !f.same(old):
		s.files[name] = f
	}
	return true
}

// notePut notes that a file is to be in the folder from now on. It is unread until Accept gets its
// text.
func (s *Store) notePut(i installed) {
	f := &file{installed: i, name: i.bundle.Name, unread: s.sumOf(i.bundle)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[f.name], s.at[f.name] = f, s.clock.Add(1)
}

// noteRemoved notes that a file is not to be in the folder from now on.
func (s *Store) noteRemoved(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, name)
	s.at[name] = s.clock.Add(1)
}

// fill gives each unread file its text, if that is among the given ones or the recent ones. It
// returns the files that are still unread.
func (s *Store) fill(given []*Text) (unread []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, f := range s.files {
		if f.unread == "" {
			continue
		}
		for _, t := range append(given[:len(given):len(given)], s.recent...) {
			if t.sum == f.unread && (t.err == nil || t.name == s.filePath(name)) {
				filled := *f
				filled.take(t, s.filePath(name))
				s.files[name] = &filled
				break
			}
		}
		if s.files[name].unread != "" {
			unread = append(unread, name)
		}
	}
	return unread
}

// Current reports whether the store has changed none of the reading's files since it began.
func (s *Store) Current(r Reading) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range r.files {
		if r.begun < s.changedAt(name) {
			return false
		}
	}
	return true
}

// Has reports whether the folder had a file of that name, as of the last Accept. The file may be
// one that can't be used. It is safe for concurrent use.
func (s *Store) Has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[name] != nil
}

// Installed returns a file of the folder with what it was applied with, as of the last Accept. ok
// is false for a file that was not there or could not be read. It is safe for concurrent use.
func (s *Store) Installed(name string) (b group.Bundle, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[name]; f != nil && (f.text != nil || f.unread != "") {
		return f.bundle, true
	}
	return group.Bundle{}, false
}
