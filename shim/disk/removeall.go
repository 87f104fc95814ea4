package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
)

// RemoveAll removes a file, or a folder with everything in it. It is no error if there is none. A
// container may have made the folder's content. So it may be nested deeper than a path is long
// (PATH_MAX), and os.RemoveAll has a descriptor open for each level. RemoveAll has two open at
// most. It follows no link and enters no mount: a mount is an error.
//
// A cancelled ctx ends it in between. Another call goes on with the rest.
func RemoveAll(ctx context.Context, path string) error {
	parent, name := filepath.Split(filepath.Clean(path))
	fd, err := unix.Open(parent, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	if err := removeFrom(ctx, fd, name); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// RemoveAllIn is RemoveAll for a file in a folder that is open. The folder's own path may lead
// elsewhere by now. The name has no slash.
func RemoveAllIn(ctx context.Context, folder *os.File, name string) error {
	fd, err := unix.Openat(int(folder.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = removeFrom(ctx, fd, name)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", filepath.Join(folder.Name(), name), err)
	}
	return nil
}

// removeFrom removes the entry of that name from a folder, and closes the folder.
func removeFrom(ctx context.Context, folder int, name string) error {
	r := remover{ctx: ctx, here: folder, buf: make([]byte, 8<<10)}
	defer func() { unix.Close(r.here) }()
	return r.run(name)
}

// A remover empties one folder after the other. It goes down into a folder that is not empty, and
// up again by its "..".
type remover struct {
	ctx     context.Context
	here    int     // the folder that it is in
	above   []level // the folders that here is in, outermost first
	buf     []byte
	removed bool // something was removed since a folder was found not empty after all
}

// A level is a folder that the remover has gone down from.
type level struct {
	dev, ino uint64
	name     string // of the folder that it has gone down into
	next     int64  // offset of the entry after that
}

// errBusy is for a folder that is never empty.
var errBusy = errors.New("something puts files into it while it is being removed")

// run removes the entry of that name from the folder that the remover is in.
func (r *remover) run(name string) error {
	full, err := r.remove(name, unix.DT_UNKNOWN)
	if err != nil || !full {
		return err
	}
	if err := r.down(level{name: name}); err != nil {
		return err
	}
	for {
		below, err := r.empty()
		if err != nil {
			return err
		}
		if below.name != "" {
			if err := r.down(below); err != nil {
				return err
			}
			continue
		}
		left, err := r.up()
		if err != nil {
			return err
		}
		switch full, err := r.remove(left.name, unix.DT_DIR); {
		case err != nil:
			return err
		case full && !r.removed:
			return r.at(left.name, errBusy)
		case full: // some filesystems skip entries while others are removed
			r.removed = false
			if err := r.down(left); err != nil {
				return err
			}
			continue
		case len(r.above) == 0:
			return nil
		}
		if _, err := unix.Seek(r.here, left.next, unix.SEEK_SET); err != nil {
			return r.at(left.name, err)
		}
	}
}

// empty removes the entries of the folder that the remover is in, up to the first folder that is
// not empty. It returns that, or no name.
func (r *remover) empty() (level, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return level{}, err
		}
		n, err := unix.Getdents(r.here, r.buf)
		if err != nil {
			return level{}, r.at("", err)
		}
		if n == 0 {
			return level{}, nil
		}
		for e := range Entries(r.buf[:n]) {
			if full, err := r.remove(e.Name, e.Kind); err != nil || full {
				return level{name: e.Name, next: e.Next}, err
			}
		}
	}
}

// remove removes an entry of the folder that the remover is in. It reports whether the entry is a
// folder that is not empty, which stays. kind is one of unix.DT_UNKNOWN and the others.
func (r *remover) remove(name string, kind uint8) (full bool, err error) {
	err = unix.EISDIR
	if kind != unix.DT_DIR {
		err = unix.Unlinkat(r.here, name, 0)
	}
	if errors.Is(err, unix.EISDIR) {
		err = unix.Unlinkat(r.here, name, unix.AT_REMOVEDIR)
	}
	switch {
	case err == nil:
		r.removed = true
		return false, nil
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return true, nil
	}
	return false, r.at(name, err)
}

// down goes into a folder of the one that the remover is in.
func (r *remover) down(to level) error {
	var st unix.Stat_t
	if err := unix.Fstat(r.here, &st); err != nil {
		return r.at(to.name, err)
	}
	to.dev, to.ino = st.Dev, st.Ino
	fd, err := r.open(to.name, unix.RESOLVE_BENEATH)
	if err != nil {
		return r.at(to.name, err)
	}
	unix.Close(r.here)
	r.here, r.above = fd, append(r.above, to)
	return nil
}

// up goes to the folder that the remover has come from, and returns its level. It is an error if
// the folder was moved in between.
func (r *remover) up() (level, error) {
	last := r.above[len(r.above)-1]
	fd, err := r.open("..", 0)
	if err != nil {
		return level{}, r.at("..", err)
	}
	unix.Close(r.here)
	r.here, r.above = fd, r.above[:len(r.above)-1]
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return level{}, r.at("..", err)
	}
	if st.Dev != last.dev || st.Ino != last.ino {
		return level{}, r.at(last.name, errors.New("it was moved while it was being removed"))
	}
	return last, nil
}

func (r *remover) open(name string, resolve uint64) (int, error) {
	return unix.Openat2(r.here, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: resolve | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS,
	})
}

// at adds to an error the name that it is about, and how deep that is. The whole path may be longer
// than anyone reads.
func (r *remover) at(name string, err error) error {
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) {
		err = &hint.Error{Err: fmt.Errorf("a filesystem is mounted there: %w", err), Hint: "unmount it first: findmnt lists what is mounted"}
	}
	where := hint.Excerpt(name, hint.Short)
	if len(r.above) > 0 {
		where = fmt.Sprintf("%s, %d folders deep", where, len(r.above))
	}
	return fmt.Errorf("%s: %w", where, err)
}
