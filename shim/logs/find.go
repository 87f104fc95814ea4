package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A File is the file with one container's output.
type File struct {
	Container string
	Path      string
}

// Find returns the log files in a group's folder, sorted by container. If containers are named, it
// returns their files, even those that don't exist yet. A folder that doesn't exist has no files:
// the group has never run on this host.
func Find(dir string, containers []string) ([]File, error) {
	var files []File
	for _, name := range containers {
		files = append(files, File{Container: name, Path: filepath.Join(dir, name+".log")})
	}
	if len(containers) > 0 {
		return files, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the output of a group: %w", err)
	}
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".log"); ok && entry.Type().IsRegular() {
			files = append(files, File{Container: name, Path: filepath.Join(dir, entry.Name())})
		}
	}
	return files, nil
}
