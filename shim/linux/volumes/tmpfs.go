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

// mountTmpfs mounts an ephemeral volume, or gives the mounted one, have, its size and owner. The
// content stays. A nil have means that none is mounted.
func mountTmpfs(path string, vol spec.Volume, have *spec.Volume) error {
	options := fmt.Sprintf("size=%d", vol.Size)
	if have == nil {
		uid, gid, mode, err := vol.Ownership()
		if err != nil {
			return err
		}
		options += fmt.Sprintf(",uid=%d,gid=%d,mode=%o", uid, gid, mode)
		if err := unix.Mount(tmpfsSource, path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return err
		}
		return setOwnership(path, vol)
	}
	if !have.SameSize(vol) {
		err := unix.Mount(tmpfsSource, path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_REMOUNT, options)
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
