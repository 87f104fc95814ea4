package store

import (
	"context"
	"io/fs"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim/group"
)

// Load reads the whole folder and accepts it, as a keeper does. The first one is that of a daemon
// that starts.
func (s *Store) Load() Loaded {
	if !s.loaded {
		_ = s.Open() // Accept reports it
	}
	l := s.accept(s.ReadFolder(context.Background()))
	for len(l.Reread) > 0 {
		again := s.accept(s.ReadFiles(context.Background(), l.Reread...))
		again.New = append(l.New, again.New...)
		again.Mended = append(l.Mended, again.Mended...)
		l = again
	}
	return l
}

func (s *Store) accept(r Reading, err error) Loaded {
	if err != nil {
		panic(err)
	}
	return s.Accept(r)
}

// Bundle returns a file of the folder with what it was applied with.
func Bundle(s *Store, name string) (group.Bundle, error) {
	i, err := s.installedNow(name)
	return i.bundle, err
}

// Files returns the names of the files that were read.
func (r Reading) Files() []string { return slices.Sorted(maps.Keys(r.files)) }

// CountLooks counts how often a file is looked at by its name, until the returned function is
// called.
func CountLooks() (looks func() int) {
	n := 0
	before := lstat
	lstat = func(path string) (fs.FileInfo, error) {
		n++
		return before(path)
	}
	return func() int {
		lstat = before
		return n
	}
}
