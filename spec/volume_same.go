package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// FindVolume returns the volume of that name, or nil.
func FindVolume(volumes []Volume, name string) *Volume {
	i := slices.IndexFunc(volumes, func(v Volume) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &volumes[i]
}

// Satisfies reports whether v, a mounted volume, is as wanted.
func (v Volume) Satisfies(wanted Volume) bool {
	switch {
	case !v.SameKind(wanted):
		return false
	case wanted.HostPath != "":
		return true
	default:
		return v.SameSize(wanted) && v.SameOwnership(wanted)
	}
}

// SameKind reports whether v can become other without losing its files.
func (v Volume) SameKind(other Volume) bool {
	return v.Persistent == other.Persistent && v.HostPath == other.HostPath
}

// SameSize reports whether v, a mounted volume, has the wanted size. The kernel rounds the size of
// a tmpfs up to whole pages, and the largest pages are 64 KiB. No size is smaller than that.
func (v Volume) SameSize(wanted Volume) bool {
	return v.Size >= wanted.Size && v.Size-wanted.Size < 64<<10
}

// SameOwnership reports whether both volumes have one owner and mode, with the defaults filled in.
func (v Volume) SameOwnership(other Volume) bool { return v.OwnershipText() == other.OwnershipText() }

// Ownership returns the volume's owner and mode, with the defaults filled in. An owner by name is
// an error.
func (v Volume) Ownership() (uid, gid int, mode uint32, err error) {
	mode = v.Permissions()
	if v.Owner == "" {
		return 0, 0, mode, nil
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

// Permissions returns the volume's mode, with the default filled in.
func (v Volume) Permissions() uint32 {
	switch {
	case v.Mode != 0:
		return v.Mode
	case v.Owner == "":
		return defaultVolumeMode
	default:
		return defaultOwnedMode
	}
}

// OwnershipText returns the volume's ownership on one line: "65532:65532 0750", "www-data 0750". It
// is empty for an invalid owner.
func (v Volume) OwnershipText() string {
	if v.NamesOwner() {
		return fmt.Sprintf("%s %04o", v.Owner, v.Permissions())
	}
	uid, gid, mode, err := v.Ownership()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d %04o", uid, gid, mode)
}
