package quota

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// entriesAtOnce are read of a folder at once: it may have millions.
const entriesAtOnce = 256

// within keeps an open below a folder: containers may write there meanwhile, and may mount nothing.
const within = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV

// tag gives a folder, and all folders and regular files below it, a project id. Other files take no
// more than an inode, and keep theirs.
//
// A folder gets its id before its entries are read, and from then on gives it to each new one. No
// file gets in without it: the kernel refuses to move one from another project into such a folder
// (EXDEV).
func tag(ctx context.Context, path string, id uint32) error {
	root, err := openFolder(path)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	for folders := []string{"."}; len(folders) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		err := tagFolder(root, dir, id, func(name string) { folders = append(folders, filepath.Join(dir, name)) })
		if err != nil && !gone(err) {
			return &os.PathError{Op: "set the project of", Path: filepath.Join(path, dir), Err: err}
		}
	}
	return nil
}

// gone reports whether a file was removed or replaced meanwhile, or something is mounted on it.
func gone(err error) bool {
	return slices.ContainsFunc([]error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENXIO, unix.EXDEV}, func(e error) bool { return errors.Is(err, e) })
}

// tagFolder gives one folder and the files in it a project id. It calls found with the name of each
// folder in it.
func tagFolder(root int, dir string, id uint32, found func(name string)) error {
	fd, err := unix.Openat2(root, dir, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: within})
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	if err := setProject(fd, id, true); err != nil {
		return err
	}
	for {
		names, err := f.Readdirnames(entriesAtOnce)
		for _, name := range names {
			var st unix.Stat_t
			if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				continue
			}
			switch st.Mode & unix.S_IFMT {
			case unix.S_IFDIR:
				found(name)
			case unix.S_IFREG:
				if err := tagFile(fd, name, id); err != nil && !gone(err) {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tagFile gives a regular file a project id. O_NONBLOCK is for a pipe that has taken its name
// meanwhile.
func tagFile(dir int, name string, id uint32) error {
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: within})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return err
	}
	return setProject(fd, id, false)
}
