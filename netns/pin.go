package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/kernfile"
)

// pins guards the folders of pins and their files. Two calls must not pin the same path at once,
// nor pin while the folder's mount is made or removed.
var pins sync.Mutex

// Pinned reports whether a namespace is pinned at path.
func Pinned(path string) (bool, error) {
	var st unix.Statfs_t
	switch err := unix.Statfs(path, &st); {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return false, nil
	case err != nil:
		return false, err
	}
	return st.Type == unix.NSFS_MAGIC, nil
}

func pin(path string) error {
	pins.Lock()
	defer pins.Unlock()
	ok, err := Pinned(path)
	if err != nil || ok {
		return err
	}
	if err := ensureFolder(filepath.Dir(path)); err != nil {
		return err
	}
	// A file without a mount is left by an interrupted attempt. It is used again.
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	if err := inNewNamespace(func() error {
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	}); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}

// ensureFolder makes the folder a shared mount of its own. A mount namespace made from ours later
// has copies of the pins. Only because the mount is shared, unmounting the original removes the
// copies too.
func ensureFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	ok, err := isMountPoint(dir)
	if err != nil || ok {
		return err
	}
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %q on itself: %w", dir, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mount %q: %w", dir, err)
	}
	return nil
}

func isMountPoint(dir string) (bool, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_MODE, &st); err != nil {
		return false, fmt.Errorf("look at %q: %w", dir, err)
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

func unpin(path string) error {
	pins.Lock()
	defer pins.Unlock()
	ok, err := Pinned(path)
	if err != nil {
		return err
	}
	if ok {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount: %w", err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	removeFolder(filepath.Dir(path))
	return nil
}

// removeFolder removes an empty folder and its mount. The next pin makes both again, so errors
// don't matter.
func removeFolder(dir string) {
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return
	}
	if ok, err := isMountPoint(dir); err == nil && ok {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	}
	_ = os.Remove(dir)
}

// Pins lists the names in a folder of pins, including half-made pins. An absent folder has none.
func Pins(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// inNewNamespace runs keep on a thread in a new network namespace, with its sysctls set and its
// loopback up.
func inNewNamespace(keep func() error) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		return nil
	}, func() error {
		if err := prepare(); err != nil {
			return err
		}
		return keep()
	})
}

// Inside runs do on a thread that is in a network namespace. Several things that need one cost less
// in one call: it takes five system calls.
func Inside(ns *os.File, do func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return nil
	}, do)
}

// onThread runs enter and then do on one thread. enter moves the thread to another network
// namespace or fails. Afterwards the thread returns to its own namespace. If it can't, it stays
// locked and dies with its goroutine.
func onThread(enter, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := kernfile.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		if err := enter(); err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		err = do()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
