package hostfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// maxLinks is how many links the kernel follows on one path (MAXSYMLINKS).
const maxLinks = 40

// open opens a regular file, and returns its size. It looks at what is there before it opens it for
// reading, since opening a device can act on it, and opening a pipe waits.
func open(folder, name string) (*os.File, int64, error) {
	w, err := newWalk(folder, name)
	if err != nil {
		return nil, 0, err
	}
	defer w.close()
	at, err := w.find()
	if err != nil {
		return nil, 0, err
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return nil, 0, err
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG {
		return nil, 0, notPlain(kind)
	}
	if err := w.checkOwners(st.Uid); err != nil {
		return nil, 0, err
	}
	// This opens the very file that was looked at. O_NONBLOCK is for a file with a lease.
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", at), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	return f, st.Size, err
}

func notPlain(kind uint32) error {
	what := "a device"
	switch kind {
	case unix.S_IFDIR:
		what = "a folder"
	case unix.S_IFIFO:
		what = "a named pipe"
	case unix.S_IFSOCK:
		what = "a socket"
	}
	return fmt.Errorf("it is %s: put a plain file there or take it away", what)
}

// A walk follows a path from folder to folder.
type walk struct {
	rest   string   // the path, from the first of the folders
	fds    []int    // the folders from the start to here
	paths  []string // theirs, without links
	floor  int      // index of the folder that ".." can't leave
	anchor bool     // it began at the root: links to folders are followed where no container can make them
	links  []link   // that were followed
}

// A link is one that a walk has followed.
type link struct {
	path  string
	owner uint32
}

func newWalk(folder, name string) (*walk, error) {
	w := &walk{}
	rest, err := filepath.Rel(folder, name)
	switch {
	case err == nil && folder != "" && filepath.IsLocal(rest):
		w.rest = rest
	case !filepath.IsAbs(name):
		return nil, errors.New("it is not an absolute path")
	default:
		folder, w.rest, w.anchor = "/", strings.TrimPrefix(filepath.Clean(name), "/"), true
	}
	return w, w.start(folder)
}

// start makes a folder the first one of the walk.
func (w *walk) start(folder string) error {
	fd, err := unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		unix.Close(fd)
		return err
	}
	w.close()
	w.fds, w.paths, w.floor = []int{fd}, []string{path}, 0
	return nil
}

func (w *walk) close() {
	for _, fd := range w.fds {
		unix.Close(fd)
	}
	w.fds, w.paths = nil, nil
}

// find returns a descriptor of what is at the path, opened with O_PATH. The caller closes it.
func (w *walk) find() (int, error) {
	at, err := unix.Openat2(w.fds[0], w.rest, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	switch {
	case err == nil, errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return at, err
	}
	return w.steps(strings.Split(w.rest, "/")) // there is a link, or a kernel before 5.6
}

// steps walks along the names, and along those that links put before the rest of them.
func (w *walk) steps(names []string) (int, error) {
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		here := len(w.fds) - 1
		switch name {
		case "", ".":
			continue
		case "..":
			if here <= w.floor {
				return -1, w.leadsOut()
			}
			unix.Close(w.fds[here])
			w.fds, w.paths = w.fds[:here], w.paths[:here]
			continue
		}
		at, err := unix.Openat(w.fds[here], name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		var st unix.Stat_t
		if err := unix.Fstat(at, &st); err != nil {
			unix.Close(at)
			return -1, err
		}
		switch {
		case st.Mode&unix.S_IFMT == unix.S_IFLNK:
			w.links = append(w.links, link{filepath.Join(w.paths[here], name), st.Uid})
			names, err = w.follow(at, names)
			unix.Close(at)
			if err != nil {
				return -1, err
			}
		case len(names) == 0:
			return at, nil
		default:
			w.fds, w.paths = append(w.fds, at), append(w.paths, filepath.Join(w.paths[here], name))
		}
	}
	return -1, notPlain(unix.S_IFDIR)
}

// follow returns the names to walk along after a link, which is the last of the links.
func (w *walk) follow(at int, names []string) ([]string, error) {
	if len(w.links) > maxLinks {
		return nil, unix.ELOOP
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(at, "", buf)
	if err != nil {
		return nil, err
	}
	to, here := string(buf[:n]), len(w.fds)-1
	free := w.anchor && len(names) > 0 && w.floor == 0 && spec.HostPathRefused(w.paths[here], false) != ""
	if !free {
		w.floor = max(w.floor, here)
	}
	if filepath.IsAbs(to) {
		rel, below := within(w.paths[here], filepath.Clean(to))
		switch {
		case below:
			to = rel
		case !free:
			return nil, w.leadsOut()
		default:
			if err := w.start("/"); err != nil {
				return nil, err
			}
		}
	}
	return append(strings.Split(to, "/"), names...), nil
}

// leadsOut returns the error for the last link, which leads out of its folder.
func (w *walk) leadsOut() error {
	if len(w.links) == 0 {
		return errors.New("it is not in its folder: name it without \"..\"")
	}
	last := w.links[len(w.links)-1].path
	return fmt.Errorf("the link %s leads out of its folder: name the file that it leads to, or put that file there", last)
}

// checkOwners returns an error if a user made one of the links who owns neither the file nor the
// host. That user may be unable to read the file, and have it read by the link.
func (w *walk) checkOwners(file uint32) error {
	for _, l := range w.links {
		if l.owner != 0 && l.owner != file && int(l.owner) != os.Geteuid() {
			return fmt.Errorf("the link %s belongs to user %d and leads to a file of user %d: put the file itself there", l.path, l.owner, file)
		}
	}
	return nil
}

// within returns the path from a folder to what is below it.
func within(folder, path string) (rel string, below bool) {
	return strings.CutPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
