package hostfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ReadNamed returns what a group file names, as [spec.Source.ReadFile] has it: the content of a
// file as [Read] does it, or the names that a path with a slash at its end matches.
func ReadNamed(ctx context.Context, folder, name string, most int64) ([]byte, error) {
	pattern, isPattern := strings.CutSuffix(name, "/")
	if !isPattern {
		return Read(ctx, folder, name, most)
	}
	dir := filepath.Dir(pattern)
	return bounded(ctx, &system, dir, "list", dir, func() ([]byte, error) {
		names, err := matching(folder, dir, filepath.Base(pattern))
		if err != nil {
			return nil, err
		}
		if size := int64(len(names)); size > most {
			return nil, tooLarge(size, most)
		}
		return names, nil
	}, nil)
}

// matching returns the names in a folder that match a pattern, sorted, one on each line. Folders
// are left out, and so are names that begin with a dot, unless the pattern does. The folder is
// found as [Read] finds a file.
func matching(folder, dir, pattern string) ([]byte, error) {
	f, err := openFolder(folder, dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(entries) == maxEntries {
		return nil, fmt.Errorf("it has %d files or more: keep other files elsewhere", maxEntries)
	}
	var names []string
	for _, e := range entries {
		matches, err := filepath.Match(pattern, e.Name())
		if err != nil {
			return nil, err
		}
		hidden := strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(pattern, ".")
		if matches && !hidden && !e.IsDir() && !strings.Contains(e.Name(), "\n") {
			names = append(names, e.Name()+"\n")
		}
	}
	slices.Sort(names)
	return []byte(strings.Join(names, "")), nil
}

// openFolder opens the folder itself, or one below it as [open] opens a file.
func openFolder(folder, dir string) (*os.File, error) {
	if filepath.Clean(dir) == filepath.Clean(folder) {
		return os.OpenFile(folder, unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	}
	w, err := newWalk(folder, dir)
	if err != nil {
		return nil, err
	}
	defer w.close()
	at, err := w.find()
	if err != nil {
		return nil, err
	}
	defer unix.Close(at)
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", at), unix.O_DIRECTORY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}
