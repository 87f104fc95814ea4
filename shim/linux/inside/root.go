// Package inside opens and copies files in a running container as its own processes see them: below
// its root, with all its mounts, and never outside.
//
// Pitfall: everything in there may change at any moment, and in bad faith. So what was looked at is
// used by its descriptor, never again by its name. Only the kernel follows links, and it takes the
// container's root for the root (openat2, RESOLVE_IN_ROOT).
package inside

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/linux/thread"
)

// ErrNotThere means that the container's process has ended.
var ErrNotThere = errors.New("the container's process has ended")

// A Root is the root folder of a running container. It stays usable while it is open, also when the
// container ends.
type Root struct {
	dir *os.File // O_PATH
}

// OpenRoot opens the root of the container whose program is the process pid, in the cgroup that the
// runtime was asked for. The cgroup proves that the number does not belong to another process by
// now. The caller closes the Root.
//
// The root is that of the process's mount namespace. The process itself may have another one, by
// chroot(2).
func OpenRoot(pid int, cgroup string) (*Root, error) {
	held, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, notThere(err)
	}
	defer unix.Close(held)
	namespace, err := os.Open(procPath(pid, "ns/mnt"))
	if err != nil {
		return nil, notThere(err)
	}
	defer namespace.Close()
	in, err := inCgroup(pid, cgroup)
	if err != nil {
		return nil, notThere(err)
	}
	// While it lives, its number is its own: so what was read before is its own too.
	if err := unix.PidfdSendSignal(held, 0, nil, 0); err != nil || !in || cgroup == "" {
		return nil, ErrNotThere
	}
	dir, err := rootOf(namespace)
	if err != nil {
		return nil, fmt.Errorf("open the container's root: %w", err)
	}
	return &Root{dir}, nil
}

// OpenHost opens the host's root, for the copies of the calling process itself.
func OpenHost() (*Root, error) {
	dir, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Root{dir}, nil
}

// OpenFolder opens a folder of the host as a root, such as one in which an image is mounted.
func OpenFolder(path string) (*Root, error) {
	dir, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return &Root{dir}, nil
}

// Chown gives a folder to a user and a group. It follows no link, and leaves what is in the folder
// alone.
func Chown(path string, uid, gid uint32) error {
	r, err := OpenFolder(path)
	if err != nil {
		return err
	}
	defer r.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(r.dir.Fd()), &st); err != nil || st.Uid == uid && st.Gid == gid {
		return err
	}
	return unix.Fchownat(int(r.dir.Fd()), "", int(uid), int(gid), unix.AT_EMPTY_PATH)
}

// Close closes the root. Files that were opened in it stay open.
func (r *Root) Close() error { return r.dir.Close() }

func procPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// notThere replaces the errors of a process that is gone.
func notThere(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return ErrNotThere
	}
	return err
}

// inCgroup reports whether a process is in a cgroup of the v2 hierarchy, or below it.
func inCgroup(pid int, cgroup string) (bool, error) {
	f, err := os.Open(procPath(pid, "cgroup"))
	if err != nil {
		return false, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if path, v2 := strings.CutPrefix(lines.Text(), "0::"); v2 {
			return strings.Contains(path+"/", strings.TrimSuffix(cgroup, "/")+"/"), nil
		}
	}
	return false, nil
}

// rootOf returns the root folder of a mount namespace, as a path only.
func rootOf(namespace *os.File) (dir *os.File, err error) {
	thread.Run(func() {
		// setns(2) wants a root and a working folder that no other thread shares.
		if err = unix.Unshare(unix.CLONE_FS); err != nil {
			return
		}
		if err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNS); err != nil {
			return
		}
		dir, err = os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	})
	return dir, err
}

// openTries is how often a path is looked up while others move folders on it. The kernel can't tell
// then whether ".." leads out, and answers EAGAIN.
const openTries = 1000

// openAt looks a path up below the root. Links are followed, but the last one only without
// O_NOFOLLOW.
func (r *Root) openAt(path string, flags int) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(int(r.dir.Fd()), path, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), path), nil
		case err == unix.EINTR, err == unix.EAGAIN && try < openTries:
			continue
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
}

// reopen opens a file for reading that was opened as a path only. It must be a regular file, so
// that opening it waits for nothing and does nothing.
func reopen(f *os.File) (*os.File, error) {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: f.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// Errors of a file that can't be opened or read without the risk to wait.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrOfKernel   = errors.New("a file of the kernel")
	ErrNowhere    = errors.New("a link that leads nowhere")
)

// OpenFile opens a regular file for reading. Neither that nor reading it waits for anything. An
// absent file is os.ErrNotExist. These are refused:
//   - a file that the kernel makes up: some, such as kmsg of procfs, make a reader wait
//   - a file with a lease (fcntl(2), F_SETLEASE), which makes others wait for its holder
//   - a link that leads nowhere: below /proc/self it may lead somewhere for a process in there
func (r *Root) OpenFile(path string) (*os.File, error) {
	at, err := r.openAt(path, unix.O_PATH)
	if errors.Is(err, os.ErrNotExist) {
		if link, isThere := r.openAt(path, unix.O_PATH|unix.O_NOFOLLOW); isThere == nil {
			_ = link.Close()
			err = &os.PathError{Op: "open", Path: path, Err: ErrNowhere}
		}
	}
	if err != nil {
		return nil, err
	}
	defer at.Close()
	fi, err := at.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !fi.Mode().IsRegular():
		err = ErrNotRegular
	case kernels(at):
		err = ErrOfKernel
	default:
		return reopen(at)
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: err}
}

// ReadFile returns the content of a file as OpenFile opens it, of at most limit bytes.
func (r *Root) ReadFile(path string, limit int64) ([]byte, error) {
	f, err := r.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("more than %d bytes", limit)}
	}
	return b, err
}
