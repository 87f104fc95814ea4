package volumes

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// ownershipAttr is an extended attribute of a volume's folder. It has the owner and the mode that
// we gave the folder last, even if its containers have changed them since. Only the host's root can
// read it.
const ownershipAttr = "trusted.sallyport.made"

// setOwnership sets the owner and mode of a volume's folder and notes them in [ownershipAttr]. It
// is no error if the filesystem has no such attributes; see [lastOwnership]. An owner by name is
// noted alone: only the creation of a container knows who that is.
func setOwnership(path string, vol spec.Volume) error {
	if !vol.NamesOwner() {
		uid, gid, _, err := vol.Ownership()
		if err != nil {
			return err
		}
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	if err := unix.Chmod(path, vol.Permissions()); err != nil { // after chown, which clears bits; the umask has no effect
		return err
	}
	err := unix.Setxattr(path, ownershipAttr, []byte(vol.OwnershipText()), 0)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return &os.PathError{Op: "setxattr", Path: path, Err: err}
	}
	return nil
}

// lastOwnership returns the owner and the mode that we gave a volume's folder last. Without a note
// it returns those that the folder has, but for a wanted owner by name, which it takes for the
// folder's.
func lastOwnership(path string, want *spec.Volume) (owner string, mode uint32, err error) {
	note := make([]byte, 128)
	n, err := unix.Getxattr(path, ownershipAttr, note)
	switch {
	case err == nil:
		if _, err := fmt.Sscanf(string(note[:n]), "%s %o", &owner, &mode); err == nil {
			return owner, mode, nil
		}
	case !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP):
		return "", 0, &os.PathError{Op: "getxattr", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if want != nil && want.NamesOwner() {
		return want.Owner, st.Mode & 0o7777, nil
	}
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid), st.Mode & 0o7777, nil
}
