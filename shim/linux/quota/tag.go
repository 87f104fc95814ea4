package quota

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
)

// within keeps an open in a folder: containers may write there meanwhile, and may mount nothing.
const within = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV

// tag gives a folder, and all folders and regular files below it, a project id. Other files take no
// more than an inode, and keep theirs.
//
// A folder gets its id before its entries are read, and from then on gives it to each new one. No
// file gets in without it: the kernel refuses to move one from another project into such a folder,
// or within it (EXDEV). A container may move folders that have their id, so the others are found by
// handles, not by paths. A path may be longer than PATH_MAX, too.
func tag(ctx context.Context, path string, id uint32) error {
	root, err := openFolder(path)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	top, mount, err := unix.NameToHandleAt(root, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return &os.PathError{Op: "name_to_handle_at", Path: path, Err: err}
	}
	t := tagger{root: root, mount: mount, id: id, buf: make([]byte, 8<<10)}
	for levels := []level{{handle: top}}; len(levels) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		last := &levels[len(levels)-1]
		below, err := t.folder(last)
		switch {
		case err != nil && !gone(err):
			return fmt.Errorf("set the projects in %s: %w", path, err)
		case err != nil || below == nil:
			levels = levels[:len(levels)-1]
		default:
			levels = append(levels, level{handle: *below})
		}
	}
	return nil
}

// gone reports whether a file was removed or replaced meanwhile, or something is mounted on it.
func gone(err error) bool {
	return slices.ContainsFunc([]error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENXIO, unix.EXDEV, unix.ESTALE}, func(e error) bool { return errors.Is(err, e) })
}

// A tagger gives files a project id.
type tagger struct {
	root  int // an open folder of the file system
	mount int
	id    uint32
	buf   []byte
}

// A level is a folder, and the offset at which to go on in it.
type level struct {
	handle unix.FileHandle
	next   int64
}

// folder tags a folder and the files in it, up to the next folder in it. It returns that folder.
// Nil means that all was read.
func (t *tagger) folder(l *level) (below *unix.FileHandle, err error) {
	fd, err := unix.OpenByHandleAt(t.root, l.handle, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := setProject(fd, t.id, true); err != nil {
		return nil, err
	}
	if _, err := unix.Seek(fd, l.next, unix.SEEK_SET); err != nil {
		return nil, err
	}
	for {
		n, err := unix.Getdents(fd, t.buf)
		if err != nil || n == 0 {
			return nil, err
		}
		for e := range disk.Entries(t.buf[:n]) {
			l.next = e.Next
			if below, err = t.entry(fd, e.Name); err != nil && !gone(err) {
				return nil, fmt.Errorf("%q: %w", e.Name, err)
			} else if err == nil && below != nil {
				return below, nil
			}
		}
	}
}

// entry tags a regular file of an open folder. It returns the handle of a folder.
func (t *tagger) entry(folder int, name string) (*unix.FileHandle, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(folder, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil, tagFile(folder, name, t.id)
	case unix.S_IFDIR:
		handle, mount, err := unix.NameToHandleAt(folder, name, 0)
		if err != nil || mount != t.mount {
			return nil, err
		}
		return &handle, nil
	}
	return nil, nil
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
