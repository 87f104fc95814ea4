package store

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/disk"
)

func (s *Store) writeJSON(path string, v any) error {
	return s.touch("write", path, func() error { return disk.WriteJSON(path, v) })
}

// writeJSONInFolder makes the folder first, if it is missing.
func (s *Store) writeJSONInFolder(path string, v any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return s.writeJSON(path, v)
}

func (s *Store) write(path string, data []byte) error {
	return s.touch("write", path, func() error { return disk.WriteFile(path, data) })
}

func (s *Store) drop(path string) error {
	return s.touch("remove", path, func() error { return disk.Remove(path) })
}

// dropMatching removes the files that match the pattern, except those that keep reports.
func (s *Store) dropMatching(pattern string, keep func(path string) bool) error {
	paths, err := filepath.Glob(pattern)
	for _, path := range paths {
		if !keep(path) {
			err = errors.Join(err, s.drop(path))
		}
	}
	return err
}

// touch changes one file, and calls Begin and End with the verb and the name of the file's folder.
// When it returns nil, the change survives a power cut.
func (s *Store) touch(verb, path string, do func() error) error {
	what := filepath.Base(filepath.Dir(path))
	if path == s.intentPath() {
		what = filepath.Base(path)
	}
	if s.Begin != nil {
		s.Begin(verb + " " + what)
	}
	err := do()
	if err == nil {
		err = disk.SyncFolder(filepath.Dir(path))
	}
	if s.End != nil {
		s.End(verb + " " + what)
	}
	return err
}
