package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/logs/wanted"
)

// A File is a file with output of one container. A container whose streams are kept apart has two.
type File struct {
	Container string
	Stream    string // "stdout" or "stderr". Empty: the file has both
	Path      string
}

// The files of a container are NAME.log, and NAME.err.log if its streams are kept apart. The name
// of a container has no dot.
const (
	logSuffix   = ".log"
	errorSuffix = ".err.log"
)

// Find returns the log files in a group's folder, sorted by container. If containers are named, it
// returns their files in that order, even those that don't exist yet. A folder that doesn't exist
// has no files: the group has never run on this host.
func Find(dir string, containers []string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the output of a group: %w", err)
	}
	there := map[string]bool{} // the names of files
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			there[entry.Name()] = true
		}
	}
	if len(containers) == 0 {
		for name := range there {
			if name, ok := strings.CutSuffix(name, logSuffix); ok {
				containers = append(containers, strings.TrimSuffix(name, ".err"))
			}
		}
		slices.Sort(containers)
		containers = slices.Compact(containers)
	}
	split := splitContainers(dir)
	var files []File
	for _, name := range containers {
		both := File{Container: name, Path: filepath.Join(dir, name+logSuffix)}
		if !split[name] && (!there[name+errorSuffix] || sameFile(both.Path, filepath.Join(dir, name+errorSuffix))) {
			files = append(files, both)
			continue
		}
		if split[name] {
			both.Stream = "stdout"
		}
		files = append(files, both, File{Container: name, Stream: "stderr", Path: filepath.Join(dir, name+errorSuffix)})
	}
	return files, nil
}

// splitContainers returns the containers whose streams are kept apart now. A file that can't be
// read counts as none: the files of the streams are found by their names too.
func splitContainers(dir string) map[string]bool {
	split := map[string]bool{}
	for name, c := range wanted.Read(dir) {
		split[name] = c.Split
	}
	return split
}

// sameFile reports whether two names are of one file.
func sameFile(a, b string) bool {
	of, err := os.Stat(a)
	other, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(of, other)
}
