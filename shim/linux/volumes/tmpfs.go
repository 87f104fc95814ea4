package volumes

import (
	"errors"
	"fmt"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// tmpfsSource is the source of our tmpfs mounts in the list of mounts.
const tmpfsSource = "sallyport"

func isTmpfs(m *mountinfo.Info) bool {
	return m.FSType == "tmpfs" && m.Source == tmpfsSource && m.Root == "/"
}

func tmpfsSize(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Blocks) * st.Bsize, nil
}

// mountTmpfs mounts a new ephemeral volume.
func mountTmpfs(path, id string, vol spec.Volume) error {
	options := fmt.Sprintf("size=%d,uid=0,gid=0,mode=0700", vol.Size) // until setOwnership
	if err := unix.Mount(tmpfsSource, path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return err
	}
	if err := noteVolume(path, id); err != nil {
		return err
	}
	return setOwnership(path, vol)
}

// changeTmpfs gives an ephemeral volume, which is mounted as have, its size and owner. The content
// stays.
func changeTmpfs(path string, vol spec.Volume, have *spec.Volume) error {
	if !have.SameSize(vol) {
		err := unix.Mount(tmpfsSource, path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_REMOUNT, fmt.Sprintf("size=%d", vol.Size))
		if errors.Is(err, unix.EINVAL) {
			return &hint.Error{
				Err:  fmt.Errorf("%s is less than what is in it", spec.FormatSize(vol.Size)),
				Hint: "make room in the volume, or remove the group and apply it again",
			}
		}
		if err != nil {
			return err
		}
	}
	if !have.SameOwnership(vol) {
		return setOwnership(path, vol)
	}
	return nil
}
