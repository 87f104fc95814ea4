package inside

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxDepth is how deep folders may be nested. Each open level is a descriptor.
const maxDepth = 256

// modeBits are the bits of a mode that are copied. A setuid bit of a container's file would give
// rights on the host.
const modeBits = 0o777

// listAtOnce is how many names of a folder are in memory at a time.
const listAtOnce = 1024

// A Copied has what a copy was.
type Copied struct {
	Files int   // regular files and links
	Bytes int64 // of the regular files
}

// A SkipFunc is called for each file that is not copied, with the reason.
type SkipFunc func(name, why string)

// Pack writes a file or a folder with all that is in it as a tar stream. The name of the first
// entry is the last part of the path, or "." if the path ends in a slash and a dot, or is the root.
// A link at the end of the path is not followed, unless the path ends in a slash.
//
// Files that are neither regular files nor folders nor links are skipped, and so are file systems
// of the kernel's, such as /proc. A file that shrinks while it is read is an error, and one that
// grows is cut.
func (r *Root) Pack(ctx context.Context, w io.Writer, src string, skip SkipFunc) (Copied, error) {
	src = rooted(src)
	flags := unix.O_PATH | unix.O_NOFOLLOW
	if folder := strings.HasSuffix(src, "/") || strings.HasSuffix(src, "/."); folder {
		flags |= unix.O_DIRECTORY
	}
	at, err := r.openAt(src, flags)
	if err != nil {
		return Copied{}, err
	}
	defer at.Close()
	name := path.Base(src)
	if name == "/" || name == ".." || strings.HasSuffix(src, "/.") {
		name = "."
	}
	p := packer{ctx: ctx, tar: tar.NewWriter(w), skip: skip}
	if err := p.pack(at, name, 0); err != nil {
		return p.copied, err
	}
	return p.copied, p.tar.Close()
}

// rooted returns a path that begins with a slash. It cleans nothing: ".." behind a link is the
// kernel's matter.
func rooted(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

type packer struct {
	ctx    context.Context
	tar    *tar.Writer
	skip   SkipFunc
	copied Copied
}

// pack writes the file that is open as a path only, and everything below it.
func (p *packer) pack(at *os.File, name string, depth int) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(at.Fd()), &st); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	header := &tar.Header{
		Format: tar.FormatPAX, Name: name, Mode: int64(st.Mode & modeBits), Uid: int(st.Uid), Gid: int(st.Gid), ModTime: time.Unix(st.Mtim.Unix()),
	}
	if kernels(at) { // links too: in /proc they show where things are on the host
		p.skip(name, "of the kernel")
		return nil
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return p.packFile(at, header)
	case unix.S_IFDIR:
		return p.packFolder(at, header, depth)
	case unix.S_IFLNK:
		var err error
		if header.Linkname, err = readLink(at); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		header.Typeflag = tar.TypeSymlink
		p.copied.Files++
		return p.tar.WriteHeader(header)
	}
	p.skip(name, kindOf(st.Mode))
	return nil
}

func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return "a pipe"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		return "a device"
	}
	return "not a file"
}

// readLink returns the text of a link that is open as a path only.
func readLink(at *os.File) (string, error) {
	for size := 256; ; size *= 2 {
		b := make([]byte, size)
		n, err := unix.Readlinkat(int(at.Fd()), "", b)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(b[:n]), nil
		}
	}
}

func (p *packer) packFile(at *os.File, header *tar.Header) error {
	f, err := reopen(at)
	if err != nil {
		return fmt.Errorf("%s: %w", header.Name, errno(err))
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w", header.Name, errno(err))
	}
	header.Size, header.Typeflag = fi.Size(), tar.TypeReg
	if err := p.tar.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.Copy(p.tar, io.LimitReader(f, header.Size))
	p.copied.Bytes += n
	p.copied.Files++
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", header.Name, err)
	case n < header.Size:
		return fmt.Errorf("%s: it has become shorter while it was copied", header.Name)
	}
	return nil
}

func (p *packer) packFolder(at *os.File, header *tar.Header, depth int) error {
	name := header.Name
	if depth >= maxDepth {
		return fmt.Errorf("%s: folders are nested deeper than %d", name, maxDepth)
	}
	fd, err := unix.Openat(int(at.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	header.Name, header.Typeflag = name+"/", tar.TypeDir
	if err := p.tar.WriteHeader(header); err != nil {
		return err
	}
	for {
		names, err := dir.Readdirnames(listAtOnce)
		for _, child := range names {
			if err := p.packChild(dir, child, name+"/"+child, depth); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, errno(err))
		}
	}
}

// packChild opens a file by its name in a folder, which is never more than one step down.
func (p *packer) packChild(dir *os.File, child, name string, depth int) error {
	at, err := openChild(dir, child, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) { // removed since
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer at.Close()
	return p.pack(at, name, depth+1)
}

// openChild opens a file in a folder. The name has no slash, and a link is not followed.
func openChild(dir *os.File, name string, flags int) (*os.File, error) {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return nil, unix.EINVAL
	}
	fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// kernels reports whether a file, which may be open as a path only, is in a file system that the
// kernel makes up. Reading such a file may wait, do something, or never end.
func kernels(f *os.File) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return true
	}
	switch uint32(st.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC, unix.NSFS_MAGIC, mqueueMagic:
		return true
	}
	return false
}

// mqueueMagic is MQUEUE_MAGIC of Linux's ipc/mqueue.c.
const mqueueMagic = 0x19800202

// errno removes the name of a file from an error. Callers add the name that people know.
func errno(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}
