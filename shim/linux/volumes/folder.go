package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/linux/quota"
	"github.com/sallyport/sallyport/spec"
)

// mountPersistent makes the folder of a persistent volume if it is missing, and mounts it. If have
// is not nil, the volume is mounted already.
func (v *Volumes) mountPersistent(ctx context.Context, path, group string, vol spec.Volume, have *spec.Volume) error {
	kept := v.layout.PersistentPath(group, vol.Name)
	if err := makePersistent(kept, vol); err != nil {
		return err
	}
	if owner, mode, err := lastOwnership(kept, &vol); err != nil {
		return err
	} else if given := (spec.Volume{Owner: owner, Mode: mode}); !given.SameOwnership(vol) {
		if err := setOwnership(kept, vol); err != nil {
			return err
		}
	}
	if err := quota.Bound(ctx, vol.Size, kept); err != nil && !errors.Is(err, quota.ErrSoft) {
		return err
	}
	if have != nil {
		return nil
	}
	folder, err := openFolder(kept)
	if err != nil {
		return err
	}
	defer folder.Close()
	return mountFolder(folder, path)
}

// persistentSize returns the size that the kernel keeps a mounted persistent volume to. Where it
// keeps it to none, that is the wanted one: there is nothing to be done about it.
func persistentSize(path, name string, want *spec.Group) (int64, error) {
	s, err := quota.Look(path)
	if err != nil || s.Hard || want == nil {
		return s.Limit, err
	}
	if w := spec.FindVolume(want.Volumes, name); w != nil && w.Persistent {
		return w.Size, nil
	}
	return 0, nil
}

// makePersistent makes the folder of a persistent volume. The folder gets its name after its owner
// and its mode.
func makePersistent(kept string, vol spec.Volume) error {
	if _, err := os.Lstat(kept); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	group := filepath.Dir(kept)
	if err := os.MkdirAll(group, 0o700); err != nil {
		return err
	}
	unfinished := filepath.Join(group, "."+vol.Name) // no volume has such a name
	if err := disk.Remove(unfinished); err != nil {  // left by a daemon that was killed here
		return err
	}
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return err
	}
	if err := setOwnership(unfinished, vol); err != nil {
		return err
	}
	return os.Rename(unfinished, kept)
}

// Discard implements [runner.Volumes].
func (v *Volumes) Discard(ctx context.Context, group string) error {
	mounts, err := v.mounts(group)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if !isTmpfs(m) {
			return fmt.Errorf("delete the volumes of %s: %s is in use", group, filepath.Base(m.Mountpoint))
		}
	}
	all := filepath.Dir(v.layout.PersistentPath(group, "x"))
	if err := checkNoMounts(all); err != nil {
		return fmt.Errorf("delete the volumes of %s: %w", group, err)
	}
	if err := disk.RemoveAll(ctx, all); err != nil {
		return fmt.Errorf("delete the volumes of %s: %w", group, err)
	}
	if err := disk.Remove(filepath.Dir(all)); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("delete the volumes of %s: %w", group, err)
	}
	return nil
}

// checkNoMounts returns an error if there is a mount below dir. Its content is not ours, so dir
// must not be deleted.
func checkNoMounts(dir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(realPath(dir)))
	if err != nil || len(mounts) == 0 {
		return err
	}
	at := mounts[0].Mountpoint
	return &hint.Error{
		Err:  fmt.Errorf("there is a mount on %s, and its content would be deleted too", at),
		Hint: "unmount it first: umount " + at,
	}
}

// openFolder opens a folder in order to mount it. It follows links. Anything but a folder is an
// error.
func openFolder(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
}

// mountFolder mounts the opened folder at path, in place of any mount there. Mounts below the
// folder are left out, now and later, because nothing has checked them.
func mountFolder(folder *os.File, path string) error {
	tree, err := unix.OpenTree(int(folder.Fd()), "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return err
	}
	if err := unmount(path); err != nil {
		return err
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// Quiet reports whether the persistent volumes of a group are still mounts of their folders: one
// that is renamed is reported by nothing. It is false for a group with a folder of the host, whose
// file system may not answer.
func (v *Volumes) Quiet(want *spec.Group) bool {
	for _, vol := range want.Volumes {
		if vol.HostPath != "" || vol.Persistent && !sameFolder(v.layout.VolumePath(want.Name, vol.Name), v.layout.PersistentPath(want.Name, vol.Name)) {
			return false
		}
	}
	return true
}

// sameFolder reports whether both paths lead to one folder, through any mounts and links. An absent
// folder is not the same as another.
func sameFolder(a, b string) bool {
	fa, err := os.Stat(a)
	if err != nil {
		return false
	}
	fb, err := os.Stat(b)
	return err == nil && os.SameFile(fa, fb)
}
