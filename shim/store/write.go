package store

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/shim/disk"
)

// A care is how much a power cut may take of a change.
type care int

const (
	durable care = iota // nothing, once the call has returned
	whole               // undo it, for what can be made again
	lazy                // undo it, or leave an empty file, for what can be made again without the old content
)

func (s *Store) writeJSON(path string, v any, c care) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.change(path, data, c, false)
}

func (s *Store) write(path string, data []byte, c care) error {
	return s.touch("write", path, c, func() error {
		if c == lazy {
			return s.Disk.WriteUnsynced(path, data)
		}
		return s.Disk.WriteFile(path, data)
	})
}

func (s *Store) drop(path string, c care) error { return s.change(path, nil, c, false) }

// dropMatching removes the files that match the pattern, except those that keep reports. A power
// cut may bring them back, and then the next Accept removes them.
func (s *Store) dropMatching(pattern string, keep func(path string) bool) error {
	paths, err := filepath.Glob(pattern)
	for _, path := range paths {
		if !keep(path) {
			err = errors.Join(err, s.drop(path, whole))
		}
	}
	return err
}

// touch changes one file, and calls Begin and End with the verb and the name of the file's folder.
// A folder that stands in the place of a file of the state folder is set aside.
func (s *Store) touch(verb, path string, c care, do func() error) error {
	what := filepath.Base(filepath.Dir(path))
	if path == s.intentPath() {
		what = filepath.Base(path)
	}
	s.forgetRead(path)
	if s.Begin != nil {
		s.Begin(verb + " " + what)
	}
	err := do()
	if err != nil && s.isFolder(path) {
		if _, asideErr := s.Disk.SetAside(path); asideErr != nil {
			err = errors.Join(err, asideErr)
		} else {
			err = do()
		}
	}
	if err == nil && c == durable {
		err = s.Disk.SyncFolder(filepath.Dir(path))
	}
	if s.End != nil {
		s.End(verb + " " + what)
	}
	return err
}

// isFolder reports whether there is a folder in the place of a file of the state folder. A folder
// among the group files is the operator's.
func (s *Store) isFolder(path string) bool {
	info, err := lstat(path)
	return err == nil && info.IsDir() && strings.HasPrefix(path, s.layout.StateDir+"/") && !strings.Contains(path, disk.AsideSuffix)
}
