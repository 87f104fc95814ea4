package ctrd

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// A file in a container is the mount of one file of the host. The mount keeps its inode, also when
// the file's name becomes another's. And a file that is written in place can be read half-written.
// So other contents are another mount at the same path:
//
//	[0]  ──over it──►  [0, 0.1]  ──0 is written, and 0.1 taken away──►  [0]
//
// A path is looked up in the one mount or in the other, and each file is whole while it can be
// looked up. A program that has the file open goes on with what it has opened. The lower file is
// written only if no program has it open. Else another mount comes on top: [0, 0.1, 0.2]. So there
// are seldom more than two, on all kernels. From Linux 6.5 MOVE_MOUNT_BENEATH would do without the
// second.

// maxHeld is how many contents of one file may be mounted besides its first. A program that closes
// what it has read never comes near it.
const maxHeld = 32

// A fileSwitch brings other contents to one file of a running container.
type fileSwitch struct {
	path  string
	shown int    // what is there now, opened with O_PATH
	tree  int    // the mount that comes over it. -1: the one that is shown is taken away
	drop  string // the file of the host that is not needed afterwards; or empty
}

type fileSwitches []fileSwitch

func (s fileSwitches) close() {
	for _, f := range s {
		unix.Close(f.shown)
		if f.tree >= 0 {
			unix.Close(f.tree)
		}
	}
}

// prepareSwitches writes the changed files of a container to the host, below dir, where no program
// sees them. placed lists all of the container's files, as placeFiles places them. The caller
// closes what it returns, also after an error.
func prepareSwitches(ns *os.File, dir string, placed, changed []spec.File, owners fileOwners) (all fileSwitches, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for the container's files: %w", err)
	}
	var mounts []*mountinfo.Info
	shownBy := map[int]int{} // the mount, by the place in all
	err = inMounts(ns, func(thread int) error {
		for _, f := range changed {
			shown, mount, err := openShown(f.Path)
			if err != nil {
				return &os.PathError{Op: "file", Path: f.Path, Err: err}
			}
			shownBy[len(all)] = mount
			all = append(all, fileSwitch{path: f.Path, shown: shown, tree: -1})
		}
		mounts, err = mountsOf(thread)
		return err
	})
	for i := range all {
		if err != nil {
			break
		}
		n := slices.IndexFunc(placed, func(f spec.File) bool { return f.Path == all[i].path })
		err = all[i].prepare(dir, n, changed[i], owners, shownBy[i], mounts)
	}
	return all, err
}

// openShown opens what a path leads to now. The path is looked up by the kernel in the container's
// root, and leads nowhere else. mount is the number of the mount.
func openShown(name string) (shown, mount int, err error) {
	shown, err = unix.Openat2(unix.AT_FDCWD, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return -1, 0, err
	}
	var st unix.Statx_t
	err = unix.Statx(shown, "", unix.AT_EMPTY_PATH, unix.STATX_TYPE|unix.STATX_MNT_ID, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errors.New("it is no plain file any more")
	}
	if err != nil {
		unix.Close(shown)
		return -1, 0, err
	}
	return shown, int(st.Mnt_id), nil
}

// prepare writes the contents of f, which is file n of the container, and decides how they come to
// its path. mount is the one that is shown there.
func (s *fileSwitch) prepare(dir string, n int, f spec.File, owners fileOwners, mount int, mounts []*mountinfo.Info) error {
	inUse := map[string]bool{}
	byNumber := map[int]*mountinfo.Info{}
	for _, m := range mounts {
		byNumber[m.ID] = m
		if name, ok := placedName(dir, n, m); ok {
			inUse[name] = true
		}
	}
	top := byNumber[mount]
	// Nothing can be mounted over a file whose name was removed (cant_mount in fs/namespace.c).
	if top != nil && strings.HasSuffix(top.Root, "//deleted") {
		return fmt.Errorf("file %s: its file on the host was removed from %s", f.Path, dir)
	}
	// A link in the container may lead to a file of the image, or to another that was placed.
	upper, ok := placedName(dir, n, top)
	if !ok {
		return fmt.Errorf("file %s: its path leads to another file by now", f.Path)
	}
	if below := byNumber[top.Parent]; below != nil && below.Mountpoint == top.Mountpoint {
		if lower, ok := placedName(dir, n, below); ok && lower != upper {
			written, err := rewrite(filepath.Join(dir, lower), f.Content)
			if written || err != nil {
				s.drop = filepath.Join(dir, upper)
				return err
			}
		}
	}
	for k := 1; k <= maxHeld; k++ {
		if name := fmt.Sprintf("%d.%d", n, k); !inUse[name] {
			var err error
			s.tree, err = newTree(filepath.Join(dir, name), f, owners)
			return err
		}
	}
	return fmt.Errorf("file %s: %d earlier contents of it are still open", f.Path, maxHeld)
}

// placedName returns the name of the file of the host that a mount shows, if it is one of file n in
// the folder of a container's files.
func placedName(dir string, n int, m *mountinfo.Info) (string, bool) {
	if m == nil {
		return "", false
	}
	own := "/" + path.Base(path.Dir(dir)) + "/" + path.Base(dir)
	name := path.Base(m.Root)
	number, _, _ := strings.Cut(name, ".")
	return name, number == strconv.Itoa(n) && strings.HasSuffix(path.Dir(m.Root), own)
}

// rewrite writes a file that no path of the container leads to. It reports false if a program has
// it open, or if that can't be found out: the kernel gives a write lease only on a file that no
// other process has open.
func rewrite(name string, content []byte) (bool, error) {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return false, nil
	}
	defer f.Close() // which ends the lease
	done, err := ownForLease(f)
	if err != nil {
		return false, nil
	}
	defer done()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		return false, nil
	}
	if err := f.Truncate(0); err != nil {
		return true, err
	}
	_, err = f.Write(content)
	return true, err
}

// ownForLease makes root the owner of a file until done is called. The daemon's service has no
// CAP_LEASE, and without it a process gets a lease on its own files alone.
func ownForLease(f *os.File) (done func(), err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if int(st.Uid) == os.Geteuid() {
		return func() {}, nil
	}
	if err := f.Chown(os.Geteuid(), -1); err != nil {
		return nil, err
	}
	return func() { _ = f.Chown(int(st.Uid), -1) }, nil // the file stays readable for root at least
}

// newTree writes a file of the host, and returns a mount of it that is nowhere yet. It has the
// options of the mounts that a container is made with.
func newTree(name string, f spec.File, owners fileOwners) (tree int, err error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return -1, err
	}
	if err := placeFile(name, f, owners); err != nil {
		return -1, err
	}
	tree, err = unix.OpenTree(unix.AT_FDCWD, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return -1, &os.PathError{Op: "open_tree", Path: name, Err: err}
	}
	// Private: what comes over it later must not come over the host's folder too.
	attr := unix.MountAttr{
		Attr_set:    unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV,
		Attr_clr:    unix.MOUNT_ATTR_NOEXEC,
		Propagation: unix.MS_PRIVATE,
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		unix.Close(tree)
		return -1, &os.PathError{Op: "mount_setattr", Path: name, Err: err}
	}
	return tree, nil
}

// switchAll shows the new contents, one file after the other.
func (s fileSwitches) switchAll(ns *os.File) error {
	err := inMounts(ns, func(thread int) error {
		descriptors, err := unix.Openat(thread, "fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(descriptors)
		// A path in the container may lead elsewhere by now, such as to what hides a file of the
		// kernel's. So the mount is named by its descriptor, in the host's /proc.
		if err := unix.Fchdir(descriptors); err != nil {
			return err
		}
		for _, f := range s {
			if f.tree >= 0 {
				err = unix.MoveMount(f.tree, "", f.shown, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
			} else {
				err = unix.Unmount(strconv.Itoa(f.shown), unix.MNT_DETACH)
			}
			if err != nil {
				return &os.PathError{Op: "mount", Path: f.path, Err: err}
			}
		}
		return nil
	})
	for _, f := range s {
		if err == nil && f.drop != "" {
			_ = os.Remove(f.drop) // else it stays until the container is removed
		}
	}
	return err
}

// mountsOf returns the mounts that a thread sees. thread is its folder in the host's /proc.
func mountsOf(thread int) ([]*mountinfo.Info, error) {
	fd, err := unix.Openat(thread, "mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "mountinfo")
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, nil)
}

// inMounts runs do on a thread in a mount namespace. thread is the thread's folder in the host's
// /proc, opened with O_PATH. do starts no goroutine. The thread ends with it.
func inMounts(ns *os.File, do func(thread int) error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// Go can't end the first thread of the process: it would stay in the namespace.
			err = inMounts(ns, do)
			runtime.UnlockOSThread()
			return
		}
		var thread int
		if thread, err = unix.Open("/proc/thread-self", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(thread)
		if err = unix.Unshare(unix.CLONE_FS); err != nil {
			return
		}
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			return
		}
		err = do(thread)
	}()
	<-done
	return err
}
