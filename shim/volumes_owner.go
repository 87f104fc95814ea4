package shim

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// madeAttr is kept on a volume's folder: the owner and the mode that we gave it last, whatever its containers made of them since.
// Only the host's root sees it.
const madeAttr = "trusted.sallyport.made"

// Modes of volumes of which the definition says nothing: everybody in the group writes to one without an owner.
const (
	modeForAll   = 0o1777
	modeForOwner = 0o750
)

// ownership is a volume's owner and mode, with the defaults filled in.
func ownership(v spec.Volume) (uid, gid int, mode uint32, err error) {
	mode = v.Mode
	if v.Owner == "" {
		if mode == 0 {
			mode = modeForAll
		}
		return 0, 0, mode, nil
	}
	if mode == 0 {
		mode = modeForOwner
	}
	u, g, _ := strings.Cut(v.Owner, ":")
	if uid, err = strconv.Atoi(u); err == nil {
		gid, err = strconv.Atoi(g)
	}
	if err != nil {
		return 0, 0, 0, fmt.Errorf("owner %q of volume %s is not uid:gid: %w", v.Owner, v.Name, err)
	}
	return uid, gid, mode, nil
}

// ownershipNote is an ownership as madeAttr has it: "65532:65532 0750".
func ownershipNote(v spec.Volume) string {
	uid, gid, mode, err := ownership(v)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d %04o", uid, gid, mode)
}

// give makes a volume's folder its owner's, and notes so. A filesystem that can't keep the note is no error; see [madeFor].
func give(path string, v spec.Volume) error {
	uid, gid, mode, err := ownership(v)
	if err != nil {
		return err
	}
	if err := os.Chown(path, uid, gid); err != nil {
		return err
	}
	if err := unix.Chmod(path, mode); err != nil { // after the owner, whose change takes bits away; not subject to the umask
		return err
	}
	err = unix.Setxattr(path, madeAttr, []byte(ownershipNote(v)), 0)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return &os.PathError{Op: "setxattr", Path: path, Err: err}
	}
	return nil
}

// madeFor is the owner and the mode that a volume's folder was last given, or, where that is not noted, those it has.
func madeFor(path string) (owner string, mode uint32, err error) {
	note := make([]byte, 64)
	n, err := unix.Getxattr(path, madeAttr, note)
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
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid), st.Mode & 0o7777, nil
}
