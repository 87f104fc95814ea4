package inside

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/linux/thread"
)

// An Owner is the owner of the files that a copy makes.
type Owner struct{ UID, GID int }

// An UnpackRequest says where a tar stream goes.
type UnpackRequest struct {
	Path   string
	Follow bool   // a link at the end of Path is followed. An earlier copy may have made it
	Whole  bool   // Path must be a folder that is there, and gets all entries of the stream
	Owner  *Owner // optional: nil leaves the files to the user of the process
	Skip   SkipFunc
}

// Unpack makes the files of a tar stream. If the path is a folder, they come into it. Else the
// stream holds one file or one folder, which gets the path as its name. Its parent must be there,
// and a file at the path is replaced. A file is there as a whole or not at all.
//
// Below the path no link is followed, neither one that was there nor one of the stream, and a name
// with ".." is refused. Folders that are there keep their owner and mode. Special files are
// skipped.
func (r *Root) Unpack(ctx context.Context, stream io.Reader, req UnpackRequest) (copied Copied, err error) {
	if req.Owner == nil {
		return r.unpack(ctx, stream, req, os.Geteuid())
	}
	thread.Run(func() {
		if err = become(*req.Owner); err == nil {
			copied, err = r.unpack(ctx, stream, req, req.Owner.UID)
		}
	})
	return copied, err
}

// unpack makes the files. What it makes belongs to the user uid.
func (r *Root) unpack(ctx context.Context, stream io.Reader, req UnpackRequest, uid int) (Copied, error) {
	dir, name, err := r.locate(rooted(req.Path), req.Follow)
	if err != nil {
		return Copied{}, err
	}
	defer dir.Close()
	if name != "" && req.Whole {
		return Copied{}, &os.PathError{Op: "open", Path: req.Path, Err: unix.ENOTDIR}
	}
	u := unpacker{ctx: ctx, req: req, uid: uid, base: dir, as: name, folder: strings.HasSuffix(req.Path, "/")}
	defer u.leave(nil)
	entries := tar.NewReader(stream)
	for {
		header, err := entries.Next()
		if err == io.EOF {
			// What follows the end belongs to the stream, and its sender waits for it to be read.
			if _, err := io.Copy(io.Discard, stream); err != nil {
				return u.copied, err
			}
			return u.copied, u.leave(nil)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return u.copied, fmt.Errorf("read the tar stream: %w", err)
		}
		if err := u.unpack(header, entries); err != nil {
			return u.copied, fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

// maxLinks is the number of links at the end of a path that are followed, as in path_resolution(7).
const maxLinks = 40

var errLink = errors.New("a link is there, which is not followed: name what it leads to, or end a link to a folder with a slash")

// locate returns the folder at a path, and an empty name. If there is no folder, it returns the
// parent and the name in it. The caller closes the folder.
func (r *Root) locate(dst string, follow bool) (dir *os.File, name string, err error) {
	for range maxLinks {
		at, err := r.openAt(dst, unix.O_PATH|unix.O_NOFOLLOW)
		switch {
		case errors.Is(err, unix.ENOENT):
			return r.parent(dst)
		case err != nil:
			return nil, "", err
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(at.Fd()), &st); err != nil {
			at.Close()
			return nil, "", &os.PathError{Op: "stat", Path: dst, Err: err}
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			return at, "", nil
		case unix.S_IFLNK:
			text, err := readLink(at)
			at.Close()
			if !follow {
				err = errLink
			}
			if err != nil {
				return nil, "", &os.PathError{Op: "readlink", Path: dst, Err: err}
			}
			if !strings.HasPrefix(text, "/") {
				text = dst[:strings.LastIndexByte(dst, '/')+1] + text
			}
			dst = text
			continue
		case unix.S_IFREG:
			at.Close()
			return r.parent(dst)
		}
		at.Close()
		return nil, "", fmt.Errorf("%s is %s", dst, kindOf(st.Mode))
	}
	return nil, "", &os.PathError{Op: "open", Path: dst, Err: unix.ELOOP}
}

func (r *Root) parent(dst string) (dir *os.File, name string, err error) {
	dst = strings.TrimRight(dst, "/")
	i := strings.LastIndexByte(dst, '/')
	if name = dst[i+1:]; name == "." || name == ".." {
		return nil, "", &os.PathError{Op: "open", Path: dst, Err: unix.ENOENT}
	}
	dir, err = r.openAt(dst[:i+1], unix.O_PATH|unix.O_DIRECTORY)
	return dir, name, err
}

type unpacker struct {
	ctx    context.Context
	req    UnpackRequest
	uid    int
	base   *os.File
	as     string // the name that the only file of the stream gets; empty: names stay
	folder bool   // as must be a folder
	first  string // of the entries, if as is set
	begun  bool
	copied Copied
	inside []made // the folders around the last entry that get their mode when it is left
}

// A made is a folder that was made, and has the mode 0700 until nothing more comes into it.
type made struct {
	parts []string
	dir   *os.File
	mode  uint32
	time  time.Time
}

// place returns the parts of the path below the base that an entry gets. The base has none.
func (u *unpacker) place(header *tar.Header) ([]string, error) {
	parts, err := split(header.Name)
	if err != nil || u.as == "" {
		return parts, err
	}
	first := "."
	if !strings.HasPrefix(header.Name, "./") && len(parts) > 0 {
		first, parts = parts[0], parts[1:]
	}
	if !u.begun {
		u.begun, u.first = true, first
		if header.Typeflag != tar.TypeDir && u.folder {
			return nil, errors.New("there is no such folder for it")
		}
	} else if first != u.first {
		return nil, fmt.Errorf("the stream has more than one file, and there is no folder %s for them", u.as)
	}
	return append([]string{u.as}, parts...), nil
}

// split returns the parts of an entry's name.
func split(name string) ([]string, error) {
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return nil, errors.New("a name with .. is refused")
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) > maxDepth {
		return nil, fmt.Errorf("folders are nested deeper than %d", maxDepth)
	}
	return parts, nil
}

func (u *unpacker) unpack(header *tar.Header, content io.Reader) error {
	parts, err := u.place(header)
	if err != nil {
		return err
	}
	if err := u.leave(parts); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return u.makeFolder(parts, header)
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse, tar.TypeSymlink, tar.TypeLink:
	case tar.TypeXGlobalHeader:
		return nil
	default:
		u.req.Skip(header.Name, "neither a file nor a folder nor a link")
		return nil
	}
	if len(parts) == 0 {
		return errors.New("it has no name")
	}
	dir, err := u.enter(parts[:len(parts)-1])
	if err != nil {
		return err
	}
	defer dir.Close()
	temp, name := ".sallyport-"+rand.Text(), parts[len(parts)-1]
	switch header.Typeflag {
	case tar.TypeSymlink:
		err = unix.Symlinkat(header.Linkname, int(dir.Fd()), temp)
	case tar.TypeLink:
		err = u.linkFile(dir, temp, header)
	default:
		err = u.writeFile(dir, temp, header, content)
	}
	if err == nil {
		err = checkUnmounted(dir, name)
	}
	if err == nil {
		err = unix.Renameat(int(dir.Fd()), temp, int(dir.Fd()), name)
	}
	if err != nil || header.Typeflag == tar.TypeLink { // renaming a link to the same file does nothing (rename(2))
		_ = unix.Unlinkat(int(dir.Fd()), temp, 0)
	}
	switch {
	case errors.Is(err, unix.EISDIR):
		return errors.New("a folder of that name is there")
	case errors.Is(err, unix.EBUSY):
		return errors.New("something is mounted there")
	case err == nil:
		u.copied.Files++
	}
	return err
}

// checkUnmounted returns EBUSY if something is mounted at a name. The kernel lets a process of
// another mount namespace replace such a file, and takes the mount away (is_local_mountpoint in
// fs/namei.c).
func checkUnmounted(dir *os.File, name string) error {
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_XDEV})
	switch {
	case err == nil:
		return unix.Close(fd)
	case errors.Is(err, unix.EXDEV):
		return unix.EBUSY
	case errors.Is(err, unix.ENOENT):
		return nil
	}
	return err
}

func (u *unpacker) writeFile(dir *os.File, temp string, header *tar.Header, content io.Reader) (err error) {
	fd, err := unix.Openat(int(dir.Fd()), temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), temp)
	defer func() {
		if closed := f.Close(); err == nil {
			err = errno(closed)
		}
	}()
	n, err := io.Copy(f, untilDone{u.ctx, content})
	u.copied.Bytes += n
	if err != nil {
		return errno(err)
	}
	if err := unix.Fchmod(fd, uint32(header.Mode&modeBits)); err != nil {
		return err
	}
	return setTime(f, header.ModTime)
}

// An untilDone is a reader that ends with its context. The holes of a sparse file come without a
// read of the stream, so the end of the stream would not end them.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (r untilDone) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// setTime sets the time of an open file's last change. A zero time leaves it.
func setTime(f *os.File, t time.Time) error {
	if t.IsZero() {
		return nil
	}
	at := unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
	return unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), []unix.Timespec{at, at}, 0)
}

// linkFile makes another name for a file that came earlier in the stream.
func (u *unpacker) linkFile(dir *os.File, temp string, header *tar.Header) error {
	parts, err := u.place(&tar.Header{Name: header.Linkname, Typeflag: tar.TypeDir})
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return errors.New("it links to a folder")
	}
	from, err := u.enter(parts[:len(parts)-1])
	if err != nil {
		return err
	}
	defer from.Close()
	return unix.Linkat(int(from.Fd()), parts[len(parts)-1], int(dir.Fd()), temp, 0)
}

// enter opens a folder below the base. One that is missing is made. A link or a file in the way is
// an error. The caller closes the folder.
func (u *unpacker) enter(parts []string) (*os.File, error) {
	fd, err := unix.FcntlInt(u.base.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), ".")
	for i, part := range parts {
		next, err := u.step(dir, part)
		dir.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Join(parts[:i+1]...), err)
		}
		dir = next
	}
	return dir, nil
}

func (u *unpacker) step(dir *os.File, part string) (*os.File, error) {
	next, err := openChild(dir, part, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		if made, err := u.mkdir(dir, part, 0o755); made != nil || err != nil {
			return made, err
		}
		next, err = openChild(dir, part, unix.O_PATH|unix.O_DIRECTORY)
	}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, errors.New("a file or a link is there, not a folder: no link below the destination is followed")
	}
	return next, err
}

// mkdir makes a folder and opens it. It returns nil if something of that name is there.
func (u *unpacker) mkdir(dir *os.File, name string, mode uint32) (*os.File, error) {
	err := unix.Mkdirat(int(dir.Fd()), name, mode)
	if errors.Is(err, unix.EEXIST) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	made, err := openChild(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(int(made.Fd()), &st); err == nil && int(st.Uid) != u.uid {
		err = errReplaced
	}
	if err != nil {
		made.Close()
		return nil, err
	}
	return made, nil
}

var errReplaced = errors.New("it was replaced while it was made")

func (u *unpacker) makeFolder(parts []string, header *tar.Header) error {
	if len(parts) == 0 {
		return nil // the destination itself
	}
	dir, err := u.enter(parts[:len(parts)-1])
	if err != nil {
		return err
	}
	defer dir.Close()
	created, err := u.mkdir(dir, parts[len(parts)-1], 0o700)
	if err != nil {
		return err
	}
	if created != nil {
		u.inside = append(u.inside, made{parts, created, uint32(header.Mode & modeBits), header.ModTime})
		return nil
	}
	there, err := u.step(dir, parts[len(parts)-1])
	if err == nil {
		there.Close()
	}
	return err
}

// leave gives their mode to the folders that were made and do not hold the next entry.
func (u *unpacker) leave(next []string) (err error) {
	for len(u.inside) > 0 {
		last := u.inside[len(u.inside)-1]
		if next != nil && len(next) > len(last.parts) && slices.Equal(next[:len(last.parts)], last.parts) {
			break
		}
		u.inside = u.inside[:len(u.inside)-1]
		if failed := last.finish(); failed != nil && err == nil {
			err = fmt.Errorf("%s: %w", path.Join(last.parts...), failed)
		}
	}
	return err
}

func (m made) finish() error {
	defer m.dir.Close()
	if err := unix.Fchmod(int(m.dir.Fd()), m.mode); err != nil {
		return err
	}
	return setTime(m.dir, m.time)
}
