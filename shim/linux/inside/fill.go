package inside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/hint"
)

// The folders in a volume that hold a copy until it is whole. A program in the volume could make
// them too. So they are never entered through a link, and a file that is at a place in the volume
// stays there.
const (
	copying = ".sallyport-copying" // an unfinished copy; worth nothing
	copied  = ".sallyport-copied"  // a whole one, whose files are yet to be moved to their places
)

// ErrNoFolder is the error for a path at which there is no folder to copy.
var ErrNoFolder = errors.New("no folder")

// An OwnerError is the error for a volume whose folder is to have the owner and mode of the
// image's, on a file system on which this can't be noted: it has no extended attributes of the
// host. Without the note, the next look at the volume would give the folder another owner again.
type OwnerError struct{ UID, GID, Mode uint32 }

func (e *OwnerError) Error() string {
	return fmt.Sprintf("the image's folder belongs to %d:%d with mode %04o, which the volume's file system can't note", e.UID, e.GID, e.Mode)
}

// Filled reports whether a volume needs no [Root.Fill]: it has a file, and no copy that was
// interrupted.
func Filled(volume string) (bool, error) {
	v, err := os.OpenRoot(volume)
	if err != nil {
		return false, err
	}
	defer v.Close()
	for _, name := range []string{copying, copied} {
		if _, err := v.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	empty, err := isEmpty(v)
	return err == nil && !empty, err
}

// isEmpty reports whether a volume has no file. It reads few names: a container may have made
// millions.
func isEmpty(v *os.Root) (bool, error) {
	dir, err := v.Open(".")
	if err != nil {
		return false, err
	}
	defer dir.Close()
	_, err = dir.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// Fill copies what the folder at the path has into a volume that is empty, with owners, modes,
// times, extended attributes, links and hard links. A link on the way to the folder leads below the
// root, and no link in it is followed. Sockets and devices are left out. With owned, the volume's
// own folder gets the owner and mode of the folder.
//
// A copy is whole or not there: the next call finishes or repeats one that was interrupted. A
// volume with files of others stays as it is. Nothing may change below the root meanwhile, and
// anything may in the volume.
func (r *Root) Fill(ctx context.Context, src, volume string, owned bool) error {
	v, err := os.OpenRoot(volume)
	if err != nil {
		return err
	}
	defer v.Close()
	dir, err := v.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	was, err := prepare(ctx, v, dir)
	switch {
	case err != nil:
		return err
	case was == hasCopy:
		return settle(ctx, v, dir)
	case was == hasFiles:
		return nil
	}
	from, err := r.openAt(src, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("%w: %s", ErrNoFolder, src)
	}
	if err != nil {
		return err
	}
	defer from.Close()
	source, err := os.OpenRoot("/proc/self/fd/" + strconv.Itoa(int(from.Fd())))
	if err != nil {
		return err
	}
	defer source.Close()
	f := &filler{ctx: ctx, from: source, to: v, links: map[inode]string{}}
	err = f.copyAll(owned)
	if err == nil {
		err = v.Rename(copying, copied)
	}
	if err != nil { // the copy may have filled a disk, and ctx may have ended
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		return errors.Join(err, disk.RemoveAllIn(clean, dir, copying))
	}
	return settle(ctx, v, dir)
}

// The states of a volume that is prepared.
const (
	isToFill = iota // it is empty
	hasCopy         // it has a whole copy
	hasFiles        // it has files of others
)

// prepare removes from a volume the folder of an unfinished copy, which may be a tree that a
// container has made. It returns the state that the volume has then. A file at the place of a
// folder for copies is one of others. It is removed, else it would be in the way for good.
func prepare(ctx context.Context, v *os.Root, dir *os.File) (was int, err error) {
	for _, name := range []string{copying, copied} {
		fi, err := v.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return 0, err
		case fi.IsDir() && name == copied:
			return hasCopy, nil
		case !fi.IsDir():
			was = hasFiles
		}
		if err := disk.RemoveAllIn(ctx, dir, name); err != nil {
			return 0, err
		}
	}
	if empty, err := isEmpty(v); err != nil || !empty {
		return hasFiles, err
	}
	return was, nil
}

// settle moves the files of a whole copy to their places.
func settle(ctx context.Context, v *os.Root, to *os.File) error {
	from, err := v.OpenFile(copied, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	// Some file systems skip names while others are moved. So all are read again until none moves.
	for moved := true; moved; {
		if _, err := from.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if moved, err = moveAll(ctx, from, to); err != nil {
			return err
		}
	}
	if err := disk.RemoveAllIn(ctx, to, copied); err != nil {
		return err
	}
	return to.Sync()
}

// moveAll moves the files in a folder to another, and reports whether it has moved any. A file
// whose name is taken stays.
func moveAll(ctx context.Context, from, to *os.File) (moved bool, err error) {
	for {
		names, err := from.Readdirnames(listAtOnce)
		for _, name := range names {
			switch err := unix.Renameat2(int(from.Fd()), name, int(to.Fd()), name, unix.RENAME_NOREPLACE); err {
			case nil:
				moved = true
			case unix.EEXIST, unix.ENOENT: // a container has put a file there, or removed this one
			default:
				return moved, &os.PathError{Op: "rename", Path: name, Err: err}
			}
		}
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, io.EOF) {
			return moved, nil
		}
		if err != nil {
			return moved, err
		}
	}
}

type inode struct{ dev, ino uint64 }

// A filler copies one folder.
type filler struct {
	ctx      context.Context
	from, to *os.Root
	links    map[inode]string // where the first name of a file with several is in the copy
}

// copyAll copies the folder to the folder [copying] of the volume, and makes it lasting.
func (f *filler) copyAll(owned bool) error {
	if owned {
		if err := f.checkOwner(); err != nil {
			return err
		}
	}
	if err := f.to.Mkdir(copying, 0o700); err != nil {
		return err
	}
	if err := f.children(".", copying, 0); err != nil {
		return err
	}
	dir, err := f.to.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if owned {
		fi, err := f.from.Stat(".")
		if err != nil {
			return err
		}
		if err := setOwner(dir, fi); err != nil {
			return err
		}
	}
	return unix.Syncfs(int(dir.Fd())) // else a power cut could leave a whole copy of empty files
}

// checkOwner returns an [OwnerError] if the volume can't have the owner and mode of the folder.
func (f *filler) checkOwner() error {
	fi, err := f.from.Stat(".")
	if err != nil {
		return err
	}
	dir, err := f.to.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	has, err := dir.Stat()
	if err != nil {
		return err
	}
	st, own := fi.Sys().(*syscall.Stat_t), has.Sys().(*syscall.Stat_t)
	if st.Uid == own.Uid && st.Gid == own.Gid && st.Mode == own.Mode {
		return nil
	}
	// Package volumes has the attribute.
	if _, err := unix.Fgetxattr(int(dir.Fd()), "trusted.sallyport.made", nil); errors.Is(err, unix.EOPNOTSUPP) {
		return &OwnerError{st.Uid, st.Gid, st.Mode & 0o7777}
	}
	return nil
}

// children copies what is in a folder of that depth.
func (f *filler) children(src, dst string, depth int) error {
	if depth >= maxDepth {
		return fmt.Errorf("%s: folders are nested deeper than %d", hint.Excerpt(src, hint.Short), maxDepth)
	}
	dir, err := f.from.Open(src)
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(256)
		for _, e := range entries {
			if err := f.copy(path.Join(src, e.Name()), path.Join(dst, e.Name()), depth+1); err != nil {
				return err
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

// copy copies a file, or a folder with what is in it. Its depth is that of the folder.
func (f *filler) copy(src, dst string, depth int) error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	fi, err := f.from.Lstat(src)
	if err != nil {
		return err
	}
	st := fi.Sys().(*syscall.Stat_t)
	switch kind := fi.Mode().Type(); {
	case fi.IsDir():
		if err := f.to.Mkdir(dst, 0o700); err != nil {
			return err
		}
		if err := f.children(src, dst, depth); err != nil {
			return err
		}
		return f.describe(src, dst, fi)
	case kind == fs.ModeSymlink:
		to, err := f.from.Readlink(src)
		if err != nil {
			return err
		}
		if err := f.to.Symlink(to, dst); err != nil {
			return err
		}
		return f.to.Lchown(dst, int(st.Uid), int(st.Gid))
	case kind != 0 && kind != fs.ModeNamedPipe:
		return nil
	}
	if id := (inode{st.Dev, st.Ino}); st.Nlink > 1 {
		if first, known := f.links[id]; known {
			return f.to.Link(first, dst)
		}
		f.links[id] = dst
	}
	if fi.Mode().IsRegular() {
		err = f.copyFile(src, dst)
	} else {
		err = f.makePipe(dst)
	}
	if err != nil {
		return err
	}
	return f.describe(src, dst, fi)
}

func (f *filler) copyFile(src, dst string) error {
	in, err := f.from.OpenFile(src, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := f.to.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	for err == nil {
		if err = f.ctx.Err(); err == nil {
			_, err = io.CopyN(out, in, 16<<20)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, out.Close())
}

func (f *filler) makePipe(dst string) error {
	dir, err := f.to.Open(path.Dir(dst))
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Mkfifoat(int(dir.Fd()), path.Base(dst), 0o600)
}

// describe gives a copy the owner, mode, attributes and times of its file.
func (f *filler) describe(src, dst string, fi fs.FileInfo) error {
	flags := os.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW
	out, err := f.to.OpenFile(dst, flags, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := setOwner(out, fi); err != nil {
		return err
	}
	in, err := f.from.OpenFile(src, flags, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := copyAttributes(in, out); err != nil {
		return err
	}
	st := fi.Sys().(*syscall.Stat_t)
	times := []unix.Timespec{unix.Timespec(st.Atim), unix.Timespec(st.Mtim)}
	return unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(out.Fd())), times, 0)
}

// setOwner sets owner and mode. The mode comes second, since a new owner clears bits.
func setOwner(f *os.File, fi fs.FileInfo) error {
	st := fi.Sys().(*syscall.Stat_t)
	if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Fchmod(int(f.Fd()), st.Mode&0o7777)
}

// attributes are the beginnings of the extended attributes that are copied: a program's own, its
// capabilities and the access control lists. The others are those of the host.
var attributes = []string{"user.", "security.capability", "system.posix_acl_"}

// copyAttributes copies extended attributes, as far as the file system of the copy has them.
func copyAttributes(in, out *os.File) error {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(int(in.Fd()), list)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "listxattr", Path: in.Name(), Err: err}
	}
	value := make([]byte, 64<<10) // XATTR_SIZE_MAX
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		if !slices.ContainsFunc(attributes, func(begin string) bool { return strings.HasPrefix(name, begin) }) {
			continue
		}
		n, err := unix.Fgetxattr(int(in.Fd()), name, value)
		if err == nil {
			err = unix.Fsetxattr(int(out.Fd()), name, value[:n], 0)
		}
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return &os.PathError{Op: "copy attribute " + name, Path: in.Name(), Err: err}
		}
	}
	return nil
}

const (
	// FillTimeout is how long a copy into a volume may take.
	FillTimeout = 10 * time.Minute
	// cleanUpTime is how long the removal of a copy that failed may take. The next Fill goes on
	// with the rest.
	cleanUpTime = 10 * time.Second
)
