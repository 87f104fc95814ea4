package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/linux/thread"
	"github.com/sallyport/sallyport/spec"
)

// volumeAttr is an extended attribute of an ephemeral volume's root, "GROUP/VOLUME". Only the
// host's root can write it. So it says which volume a mount in a container is, independently of
// where the container has it.
const volumeAttr = "trusted.sallyport.volume"

func volumeID(group, volume string) string { return group + "/" + volume }

// noteVolume writes [volumeAttr]. A kernel without such attributes on a tmpfs is no error: then the
// volume can't be found again after others have unmounted it.
func noteVolume(path, id string) error {
	if err := unix.Setxattr(path, volumeAttr, []byte(id), 0); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return &os.PathError{Op: "setxattr", Path: path, Err: err}
	}
	return nil
}

// noted reports whether the mount that fd is open on is the volume.
func noted(fd int, id string) bool {
	note := make([]byte, len(id)+1)
	n, err := unix.Getxattr(fmt.Sprintf("/proc/self/fd/%d", fd), volumeAttr, note) // fd is opened with O_PATH
	return err == nil && string(note[:n]) == id
}

// A source is the folder that a mount shows. It is the same in every mount namespace.
type source struct {
	major, minor int
	root         string // of the folder, in its filesystem
}

func sourceOf(m *mountinfo.Info) source { return source{m.Major, m.Minor, m.Root} }

// mountsOf returns the mounts that a process sees.
func mountsOf(pid uint32) ([]*mountinfo.Info, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, nil)
}

// Outdated implements [runner.Volumes]. It looks for the mounts where the definition puts them. A
// process that has changed its root, or renamed a folder above, hides them.
func (v *Volumes) Outdated(_ context.Context, want *spec.Group, pids map[string]uint32) (map[string][]string, error) {
	mounts, err := v.mounts(want.Name)
	if err != nil {
		return nil, err
	}
	now := map[string]source{}
	for _, m := range mounts {
		now[filepath.Base(m.Mountpoint)] = sourceOf(m)
	}
	outdated := map[string][]string{}
	for name, pid := range pids {
		theirs, err := mountsOf(pid)
		if err != nil {
			continue // it has ended
		}
		at := map[string]source{}
		for _, m := range theirs {
			at[m.Mountpoint] = sourceOf(m) // the upper one is the later one
		}
		for _, m := range want.Container(name).Mounts {
			has, found := at[filepath.Clean(m.Path)]
			if wanted, mounted := now[m.Volume]; mounted && found && has != wanted {
				outdated[name] = append(outdated[name], m.Volume)
			}
		}
	}
	return outdated, nil
}

// remount mounts an ephemeral volume again that one of the processes still has. It reports whether
// there was one.
func remount(path, id string, users []uint32) (bool, error) {
	for _, pid := range users {
		theirs, err := mountsOf(pid)
		if err != nil {
			continue // it has ended
		}
		for _, m := range theirs {
			if !isTmpfs(m) {
				continue
			}
			tree, err := cloneMount(pid, m.Mountpoint)
			if err != nil {
				continue // it has ended, or has renamed a folder above
			}
			found := noted(tree, id)
			if found {
				err = attach(tree, path)
			}
			unix.Close(tree)
			if found {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// cloneMount returns a copy of a mount in the mount namespace of a process. open_tree(2) copies
// only mounts of the caller's own namespace. So a thread enters that of the process, and ends in
// it.
func cloneMount(pid uint32, path string) (tree int, err error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return -1, err
	}
	defer ns.Close()
	thread.Run(func() {
		if err = unix.Unshare(unix.CLONE_FS); err != nil {
			return
		}
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			return
		}
		tree, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	})
	return tree, err
}

// attach moves a copy of a mount to a path. A container may have had it read-only.
func attach(tree int, path string) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Attr_clr: unix.MOUNT_ATTR_RDONLY, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return err
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// uncover removes the mounts that others have made over a volume, as far as one below is
// wanted. It returns what is mounted then, or nil.
func (v *Volumes) uncover(want *spec.Group, vol spec.Volume) (*spec.Volume, error) {
	for {
		all, err := v.observe(want.Name, want)
		if err != nil {
			return nil, err
		}
		have := spec.FindVolume(all, vol.Name)
		if have == nil || have.SameKind(vol) {
			return have, nil
		}
		if err := unix.Unmount(v.layout.VolumePath(want.Name, vol.Name), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return nil, err
		}
	}
}
