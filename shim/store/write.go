package store

import (
	"path/filepath"

	"github.com/sallyport/sallyport/shim/disk"
)

func (s *Store) writeJSON(path string, v any) error {
	return s.touch("write", path, func() error { return disk.WriteJSON(path, v) })
}

func (s *Store) write(path string, data []byte) error {
	return s.touch("write", path, func() error { return disk.WriteFile(path, data) })
}

func (s *Store) drop(path string) error {
	return s.touch("remove", path, func() error { return disk.Remove(path) })
}

// touch does one thing to a file, and tells of it by the folder that the file is in. What it returns from outlives a power cut.
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
