// Package volumes mounts the volumes of groups on a real host.
//
// Pitfall: containers write to a volume, so its content is never trusted. The daemon follows no
// link in it and deletes through no mount in it.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// Volumes mounts the volumes of a real host. A volume of any kind is a mount of its own at
// Layout.VolumePath, in the daemon's mount namespace. So it lasts as long as the group, and not
// only as long as a container:
//
//	ephemeral   a tmpfs
//	persistent  a folder below Layout.StateDir, kept when the group is removed
//	host path   a folder of the host, without the mounts below it
//
// A volume gets its owner and mode when it is made, and when the definition asks for others. In
// between its containers may change them.
type Volumes struct {
	layout    layout.Layout
	sockets   []string
	mountLock sync.RWMutex // held for reading from making a folder until a mount is on it
	list      mountList
}

// New returns the volumes of the layout. It makes nothing. A folder that contains one of the
// control sockets can't be a volume.
func New(l layout.Layout, sockets ...string) *Volumes {
	return &Volumes{layout: l, sockets: sockets}
}

// Groups implements [runner.Volumes]. It removes folders without a mount. A daemon leaves one if it
// is killed between making the folder and mounting on it.
func (v *Volumes) Groups(context.Context) ([]string, error) {
	entries, err := os.ReadDir(v.root())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	var groups []string
	for _, e := range entries {
		mounts, err := v.mounts(e.Name())
		if err != nil {
			return nil, err
		}
		if len(mounts) > 0 {
			groups = append(groups, e.Name())
			continue
		}
		if err := v.removeEmptyFolders(e.Name()); err != nil {
			return nil, fmt.Errorf("list volumes: %w", err)
		}
	}
	return groups, nil
}

// removeEmptyFolders removes the folders of a group without mounts. A folder that is not empty
// stays.
func (v *Volumes) removeEmptyFolders(group string) error {
	v.mountLock.Lock()
	defer v.mountLock.Unlock()
	if mounts, err := v.mounts(group); err != nil || len(mounts) > 0 {
		return err
	}
	dir := filepath.Dir(v.layout.VolumePath(group, "x"))
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return err
	}
	for _, e := range entries {
		_ = unix.Rmdir(filepath.Join(dir, e.Name()))
	}
	_ = unix.Rmdir(dir)
	return nil
}

// Observe implements [runner.Volumes].
func (v *Volumes) Observe(_ context.Context, group string, want *spec.Group) ([]spec.Volume, error) {
	return v.observe(group, want)
}

func (v *Volumes) observe(group string, want *spec.Group) ([]spec.Volume, error) {
	mounts, err := v.mounts(group)
	if err != nil {
		return nil, err
	}
	var out []spec.Volume
	for _, m := range mounts {
		vol, err := v.describe(group, m, want)
		if err != nil {
			return nil, fmt.Errorf("look at volume %s: %w", filepath.Base(m.Mountpoint), err)
		}
		out = append(out, vol)
	}
	slices.SortFunc(out, func(a, b spec.Volume) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// describe returns the volume that is mounted by m.
func (v *Volumes) describe(group string, m *mountinfo.Info, want *spec.Group) (vol spec.Volume, err error) {
	vol.Name = filepath.Base(m.Mountpoint)
	switch {
	case isTmpfs(m):
		vol.Size, err = tmpfsSize(m.Mountpoint)
	case sameFolder(m.Mountpoint, v.layout.PersistentPath(group, vol.Name)):
		vol.Persistent = true
		vol.Size, err = persistentSize(m.Mountpoint, vol.Name, want)
	default:
		vol.HostPath = m.Source + ":" + m.Root // not m.Root alone: another mount may hide that path by now
		if want == nil {
			return vol, nil
		}
		if w := spec.FindVolume(want.Volumes, vol.Name); w != nil && w.HostPath != "" && sameFolder(m.Mountpoint, w.HostPath) {
			vol.HostPath = w.HostPath
		}
		return vol, nil
	}
	if err == nil {
		var wanted *spec.Volume
		if want != nil {
			wanted = spec.FindVolume(want.Volumes, vol.Name)
		}
		vol.Owner, vol.Mode, err = lastOwnership(m.Mountpoint, wanted)
	}
	return vol, err
}

// Ensure implements [runner.Volumes]. Making a tmpfs smaller than what is in it is an error.
func (v *Volumes) Ensure(ctx context.Context, want *spec.Group, vol spec.Volume, users []uint32) error {
	if err := v.ensure(ctx, want, vol, users); err != nil {
		return fmt.Errorf("mount volume %s: %w", vol.Name, err)
	}
	return nil
}

func (v *Volumes) ensure(ctx context.Context, want *spec.Group, vol spec.Volume, users []uint32) error {
	if vol.HostPath != "" { // what is mounted stays if the host path can't be
		folder, err := v.openHostPath(want, vol)
		if err != nil {
			return err
		}
		folder.Close()
	}
	have, err := v.uncover(want, vol)
	if err != nil || have != nil && have.Satisfies(vol) {
		return err
	}
	path := v.layout.VolumePath(want.Name, vol.Name)
	v.mountLock.RLock()
	defer v.mountLock.RUnlock()
	if err := os.MkdirAll(v.root(), 0o700); err != nil { // the content is for the containers alone
		return err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	switch {
	case vol.HostPath != "":
		return v.mountHostPath(path, want, vol)
	case vol.Persistent:
		return v.mountPersistent(ctx, path, want.Name, vol, have)
	case have != nil:
		return changeTmpfs(path, vol, have)
	}
	id := volumeID(want.Name, vol.Name)
	if again, err := remount(path, id, users); err != nil || again {
		return err // the next observation compares size and owner
	}
	return mountTmpfs(path, id, vol)
}

// Remove implements [runner.Volumes]. It unmounts a volume even while a process uses it. It also
// removes the folder that the volume was mounted on and, with the last one, the group's folder.
func (v *Volumes) Remove(_ context.Context, group, volume string) error {
	path := v.layout.VolumePath(group, volume)
	if err := unmount(path); err != nil {
		return fmt.Errorf("unmount volume %s: %w", volume, err)
	}
	if err := disk.Remove(path); err != nil {
		return fmt.Errorf("remove volume %s: %w", volume, err)
	}
	return v.removeEmptyFolders(group)
}

// unmount removes every mount at a path.
func unmount(path string) error {
	for { // one mount may lie on another
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (v *Volumes) root() string { return filepath.Dir(filepath.Dir(v.layout.VolumePath("x", "x"))) }

// mounts returns the mounts that are volumes of the group. If one covers another, only the upper
// one is in the list.
func (v *Volumes) mounts(group string) ([]*mountinfo.Info, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(v.layout.VolumePath(group, "x")))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at volumes: %w", err)
	}
	infos, err := v.list.in(dir)
	if err != nil {
		return nil, fmt.Errorf("look at volumes: %w", err)
	}
	var out []*mountinfo.Info
	for i, m := range infos {
		if !slices.ContainsFunc(infos[i+1:], func(over *mountinfo.Info) bool { return over.Mountpoint == m.Mountpoint }) {
			out = append(out, m)
		}
	}
	return out, nil
}
