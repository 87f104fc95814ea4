package shim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// Tmpfs makes ephemeral volumes: each a tmpfs of its own at Layout.VolumePath, mounted where the daemon is, so that it lives
// as long as the group and not as long as a container.
type Tmpfs struct{ layout Layout }

var _ Volumes = (*Tmpfs)(nil)

// NewTmpfs returns the volumes of the layout. It makes nothing.
func NewTmpfs(l Layout) *Tmpfs { return &Tmpfs{layout: l} }

// Observe lists the group's volumes that are mounted.
func (t *Tmpfs) Observe(_ context.Context, group string) ([]spec.Volume, error) {
	return t.mounted(filepath.Dir(t.layout.VolumePath(group, "x")))
}

// Groups lists the groups that have mounted volumes.
func (t *Tmpfs) Groups(context.Context) ([]string, error) {
	entries, err := os.ReadDir(t.root())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	var groups []string
	for _, e := range entries {
		vols, err := t.mounted(filepath.Join(t.root(), e.Name()))
		if err != nil {
			return nil, err
		}
		if len(vols) > 0 {
			groups = append(groups, e.Name())
		}
	}
	return groups, nil
}

// Ensure mounts the volume for everyone in the group to write to, or resizes it. Making it smaller than what is in it is an error.
func (t *Tmpfs) Ensure(_ context.Context, group string, v spec.Volume) error {
	path := t.layout.VolumePath(group, v.Name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("mount volume %s: %w", v.Name, err)
	}
	have, err := t.mounted(filepath.Dir(path))
	if err != nil {
		return err
	}
	flags, old := uintptr(unix.MS_NOSUID|unix.MS_NODEV), find(have, v.Name)
	switch {
	case old != nil && sameSize(old.Size, v.Size):
		return nil
	case old != nil:
		flags |= unix.MS_REMOUNT
	}
	err = unix.Mount("sallyport", path, "tmpfs", flags, fmt.Sprintf("size=%d,mode=1777", v.Size))
	if old != nil && errors.Is(err, unix.EINVAL) {
		return &Problem{
			Err:  fmt.Errorf("resize volume %s: %s is less than what is in it", v.Name, sizeText(v.Size)),
			Hint: "make room in the volume, or remove the group and apply it again",
		}
	}
	if err != nil {
		return fmt.Errorf("mount volume %s: %w", v.Name, err)
	}
	return nil
}

// Remove unmounts the volume, even one that somebody looks into, and takes its folder away, and the group's with the last.
func (t *Tmpfs) Remove(_ context.Context, group, volume string) error {
	path := t.layout.VolumePath(group, volume)
	for { // one mount may lie on another
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("unmount volume %s: %w", volume, err)
		}
	}
	if err := remove(path); err != nil {
		return fmt.Errorf("remove volume %s: %w", volume, err)
	}
	if err := remove(filepath.Dir(path)); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("remove volume %s: %w", volume, err)
	}
	return nil
}

func (t *Tmpfs) root() string { return filepath.Dir(filepath.Dir(t.layout.VolumePath("x", "x"))) }

// mounted lists the tmpfs mounts right below dir.
func (t *Tmpfs) mounted(dir string) ([]spec.Volume, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at volumes: %w", err)
	}
	infos, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) {
		return i.FSType != "tmpfs" || filepath.Dir(i.Mountpoint) != dir, false
	})
	if err != nil {
		return nil, fmt.Errorf("look at volumes: %w", err)
	}
	var out []spec.Volume
	for _, i := range infos {
		name := filepath.Base(i.Mountpoint)
		if find(out, name) != nil {
			continue // one mount on another
		}
		var st unix.Statfs_t
		if err := unix.Statfs(i.Mountpoint, &st); err != nil {
			return nil, fmt.Errorf("look at volume %s: %w", name, err)
		}
		out = append(out, spec.Volume{Name: name, Size: int64(st.Blocks) * st.Bsize})
	}
	slices.SortFunc(out, func(a, b spec.Volume) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
