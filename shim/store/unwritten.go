package store

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/hostfile"
)

// An unwritten holds the files of the state folder that could not be written, because the disk is
// full or has failed. It keeps a copy of each below RunDir/unwritten, under the path that the file
// has below StateDir. A later daemon reads the copies. A boot loses them.
//
//	                 the disk has failed
//	written ──────────────────────────────────► unwritten: memory and the copy count
//	   ▲                                            │  ▲ another write: the copy first,
//	   └── on disk, then the copy is removed ◄──────┘──┘ then the disk
//
// While there is a copy, it is newer than the file, or equal to it. So a daemon that is killed at
// any point leaves a copy that counts, or none.
type unwritten struct {
	dir, stateDir string

	some chan struct{} // holds one after a file has become unwritten

	mu    sync.Mutex
	files map[string][]byte // by path of the file. Empty content: the file is to be removed. Nil: not read yet
	lost  error             // why there is a file without its copy
}

// open reads the copies that an earlier daemon has left. It needs mu. A copy that can't be read
// counts as lost.
func (u *unwritten) open() {
	if u.files != nil {
		return
	}
	u.files = map[string][]byte{}
	_ = filepath.WalkDir(u.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasPrefix(e.Name(), disk.TempPrefix) {
			return nil
		}
		content, err := hostfile.Read(context.Background(), u.dir, path, disk.MaxRead)
		if err != nil {
			u.lost = err
			return nil
		}
		u.files[filepath.Join(u.stateDir, strings.TrimPrefix(path, u.dir))] = content
		return nil
	})
}

func (u *unwritten) copyPath(path string) string {
	return filepath.Join(u.dir, strings.TrimPrefix(path, u.stateDir))
}

// get returns the content of an unwritten file, and whether the file is one.
func (u *unwritten) get(path string) ([]byte, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open()
	content, ok := u.files[path]
	return content, ok
}

// in returns the unwritten files of a folder that have content.
func (u *unwritten) in(folder string) (paths []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open()
	for path, content := range u.files {
		if filepath.Dir(path) == folder && len(content) > 0 {
			paths = append(paths, path)
		}
	}
	return paths
}

// forget drops a damaged copy, so that the file counts, and returns its path. It reports whether
// there was one.
func (u *unwritten) forget(path string) (copied string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open()
	if len(u.files[path]) == 0 {
		return "", false
	}
	delete(u.files, path)
	copied = u.copyPath(path)
	_ = disk.Remove(copied) // else the next daemon does this again
	return copied, true
}

// readJSON reads a file of the state folder. One that could not be written has its new content. The
// errors are those of [disk.ReadJSON].
func readJSON[T any](s *Store, path string) (v T, err error) {
	content, ok := s.unwritten.get(path)
	switch {
	case !ok:
		return disk.ReadJSON[T](path)
	case len(content) == 0:
		return v, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	if err := json.Unmarshal(content, &v); err != nil {
		var none T
		return none, disk.Damaged(s.unwritten.copyPath(path), err.Error())
	}
	return v, nil
}

// exists reports whether there is a file of the state folder, written or not, or anything else in
// its place.
func (s *Store) exists(path string) bool {
	if content, ok := s.unwritten.get(path); ok {
		return len(content) > 0
	}
	_, err := lstat(path)
	return err == nil
}

// namesIn returns the names of the files in a folder of the state, written or not, without .json.
func (s *Store) namesIn(folder string) (names []string, err error) {
	paths := s.unwritten.in(folder)
	entries, err := hostfile.ReadDir(context.Background(), folder)
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if content, unwritten := s.unwritten.get(path); !unwritten || len(content) > 0 {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".json"); ok && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// keepJSON is writeJSON for what must not fail because the disk is full or has failed. Then it
// keeps the file under the run folder until WriteUnwritten can write it. It makes the file's folder
// if it is missing.
func (s *Store) keepJSON(path string, v any, c care) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.change(path, data, c, true)
}

// keepDrop is drop in the same way.
func (s *Store) keepDrop(path string, c care) error { return s.change(path, nil, c, true) }

// change writes a file of the state folder. If it is unwritten already, or is to be kept and can't
// be written, it is kept under the run folder. Empty data removes the file.
func (s *Store) change(path string, data []byte, c care, keep bool) error {
	u := &s.unwritten
	if _, ok := u.get(path); !ok {
		var err error
		if keep && len(data) > 0 {
			err = os.MkdirAll(filepath.Dir(path), 0o700)
		}
		if err == nil {
			err = s.changeOnDisk(path, data, c)
		}
		if !keep || !disk.Unwritable(err) {
			return err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s.keep(path, data)
	_ = s.writeOne(path) // kept until it can be written
	return nil
}

func (s *Store) changeOnDisk(path string, data []byte, c care) error {
	if len(data) == 0 {
		return s.touch("remove", path, c, func() error { return s.Disk.Remove(path) })
	}
	return s.write(path, data, c)
}

// keep makes a file unwritten. It needs mu. If its copy can't be written either, the file is in
// memory alone, which Unwritten reports.
func (s *Store) keep(path string, data []byte) {
	u := &s.unwritten
	if _, known := u.files[path]; !known {
		select {
		case u.some <- struct{}{}:
		default: // the one before was not taken yet
		}
	}
	u.files[path] = data
	to := u.copyPath(path)
	err := os.MkdirAll(filepath.Dir(to), 0o700)
	if err == nil {
		err = s.touch("keep", to, durable, func() error { return s.Disk.WriteFile(to, data) })
	}
	if err != nil {
		u.lost = err
	}
}

// writeOne writes an unwritten file, and then removes its copy. It needs mu.
func (s *Store) writeOne(path string) error {
	u := &s.unwritten
	data := u.files[path]
	var err error
	if len(data) > 0 {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = s.changeOnDisk(path, data, durable)
	}
	if err != nil {
		if _, missing := lstat(u.copyPath(path)); missing != nil {
			s.keep(path, data) // the run folder was emptied
		}
		return err
	}
	to := u.copyPath(path)
	if err := s.touch("forget", to, whole, func() error { return s.Disk.Remove(to) }); err != nil {
		return err
	}
	delete(u.files, path)
	if len(u.files) == 0 {
		u.lost = nil
	}
	return nil
}

// writeIfUnwritten returns an error if the file is unwritten and still can't be written.
func (s *Store) writeIfUnwritten(path string) error {
	u := &s.unwritten
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open()
	if _, ok := u.files[path]; !ok {
		return nil
	}
	return s.writeOne(path)
}

// WriteUnwritten tries to write the files that could not be written. It is safe while another
// method runs.
func (s *Store) WriteUnwritten() error {
	u := &s.unwritten
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open()
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(u.files)) {
		errs = append(errs, s.writeOne(path))
	}
	return errors.Join(errs...)
}

// SomeUnwritten returns a channel that holds a value after a file has become unwritten. Those that
// an earlier daemon has left give none.
func (s *Store) SomeUnwritten() <-chan struct{} { return s.unwritten.some }

// Unwritten returns the number of files of the state folder that could not be written yet. lost is
// not nil if one of them has no copy under the run folder, so that it ends with this process. It is
// safe while another method runs.
func (s *Store) Unwritten() (files int, lost error) {
	u := &s.unwritten
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open()
	return len(u.files), u.lost
}
