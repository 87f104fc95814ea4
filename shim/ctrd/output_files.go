package ctrd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// The modes of a group's log folder. The folder of all output is open to root alone, so on the host
// no other user gets to either. A sidecar that is given the output may run as any user: for it the
// folder and the files in it are readable by all.
const (
	logFolderMode    = 0o750
	sharedFolderMode = 0o755
	logFileMode      = 0o644
)

// prepareOutput makes the folder and the files for a container's output. It returns the two
// different paths that a request names as the container's standard output and standard error.
//
// The shim opens a path that isn't a fifo for append. It doesn't create it (copyPipes in
// containerd's cmd/containerd-shim-runc-v2/process/io.go, 1.6 to 2.4). If both paths are the same,
// or are a file:// address, it opens the file once, and the end of standard output also closes it
// under standard error: the last lines of a program that ends, and all that a program prints after
// it has closed one of the two, are lost. So one file for both streams has two names.
func prepareOutput(l layout.Layout, group *spec.Group, c spec.Container) (stdout, stderr string, err error) {
	stdout, stderr = l.LogPath(group.Name, c.Name), l.ErrLogPath(group.Name, c.Name)
	dir := filepath.Dir(stdout)
	if err := os.MkdirAll(dir, logFolderMode); err != nil {
		return "", "", err
	}
	files := []string{stdout}
	if c.Output.Split {
		files = append(files, stderr)
	}
	for _, path := range files {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, logFileMode)
		if err != nil {
			return "", "", err
		}
		_ = f.Close()
	}
	if err := shareOutput(dir, group.SharesOutput()); err != nil {
		return "", "", err
	}
	if !c.Output.Split {
		stderr = dir + "/./" + filepath.Base(stdout)
	}
	return stdout, stderr, nil
}

// shareOutput makes a group's log folder readable by all of a container's users, or no longer. The
// files that are there get their mode too. A umask may have given them another.
func shareOutput(dir string, shared bool) error {
	if !shared {
		return os.Chmod(dir, logFolderMode)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !f.Type().IsRegular() || filepath.Ext(f.Name()) != ".log" {
			continue
		}
		if err := os.Chmod(filepath.Join(dir, f.Name()), logFileMode); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Chmod(dir, sharedFolderMode)
}
