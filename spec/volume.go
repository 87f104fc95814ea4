package spec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The sizes of volumes. An ephemeral one is memory of the host, and always has a size.
const (
	defaultVolumeSize = 64 * mebibyte
	minVolumeSize     = 64 << 10
	maxVolumeSize     = 1 << 50
)

// The default permissions of a volume: without an owner everybody may write; with one, only the
// owner and the owner's group have access.
const (
	defaultVolumeMode = 0o1777
	defaultOwnedMode  = 0o750
)

// maxVolumeMode has the sticky bit and setgid, with which users share a folder. setuid has no
// effect on a folder.
const maxVolumeMode = 0o3777

// readVolumes reads the group's volumes, sorted by name.
func (d *groupDecoder) readVolumes(group *hclsyntax.Block) []Volume {
	var all []Volume
	for b := range d.keyed(blocksOf(group.Body, "volume")) {
		v := d.volume(b)
		if name, ok := label(b); ok {
			d.noteOwner(name, v, b)
			d.checkName("volume", name, maxContainerName, "", b.LabelRanges[0])
			if d.unique(d.volumes, "volume", name, b.LabelRanges[0]) && v.HostPath != "" {
				d.hostPaths[name] = v.HostPath
			}
			v.Name = name
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b Volume) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// volume reads the place, the owner and the mode of a volume.
func (d *groupDecoder) volume(block *hclsyntax.Block) Volume {
	r := d.in(block)
	v := Volume{
		Persistent: r.flag("persistent"),
		HostPath:   d.hostPath(r),
		Owner:      d.volumeOwner(r),
		Mode:       d.octal(r, maxVolumeMode, "0750"),
	}
	if v.Owner == "" && v.Mode == defaultVolumeMode || v.Owner != "" && v.Mode == defaultOwnedMode {
		v.Mode = 0
	}
	size, sized := r.size("size", minVolumeSize, maxVolumeSize)
	if r.has("host_path") {
		d.checkHostVolume(r, v)
		return v
	}
	switch {
	case sized:
		v.Size = size
	case !v.Persistent:
		v.Size = defaultVolumeSize
	}
	return v
}

// checkHostVolume reports attributes that have no effect on a folder of the host.
func (d *groupDecoder) checkHostVolume(r reader, v Volume) {
	if v.Persistent {
		d.errorf(r.nameOf("persistent"), "Two places for one volume", "A persistent volume is a folder that Sallyport makes, and one with a host_path is there already. Keep one of the two lines.")
	}
	if r.has("size") {
		d.errorf(r.nameOf("size"), "A size on disk", "A folder of the host is as large as the host lets it be. Remove the size.")
	}
	for _, name := range []string{"owner", "mode"} {
		if r.has(name) {
			d.errorf(r.nameOf(name), "Not Sallyport's to change", "A folder of the host is mounted as it is, with the %s that it has on the host. Remove the line, and use chown or chmod on the host.", name)
		}
	}
}

// owner reads the user and the group that own a tmpfs, as numbers without leading zeros.
func (d *groupDecoder) owner(r reader) string {
	s, at, ok := r.text("owner", optional)
	if !ok {
		return ""
	}
	const example = `"65532:65532"`
	user, group, grouped := strings.Cut(s, ":")
	uid, uidOK := ownerID(user)
	gid, gidOK := ownerID(group)
	switch {
	case uidOK && gidOK:
		return uid + ":" + gid
	case uidOK && !grouped:
		d.errorf(at, "Invalid owner", "%s names a user and no group. Write both: %q.", quote(s), uid+":"+uid)
	case userName.MatchString(user) && (!grouped || userName.MatchString(group)) && !allDigits(user+group):
		d.errorf(at, "Invalid owner", "%s is a name, which may be another user in each container. Write the numbers: %s.", quote(s), example)
	default:
		d.errorf(at, "Invalid owner", "%s is no owner. Write a user's number and a group's, each at most 4294967294: %s.", quote(s), example)
	}
	return ""
}

// ownerID returns a user's or a group's number without leading zeros. The kernel reserves the
// highest number for "no change".
func ownerID(s string) (id string, ok bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 {
		return "", false
	}
	return strconv.FormatUint(n, 10), true
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// nameOf returns the place of an attribute's name. It returns the block's head if the attribute is
// absent.
func (r reader) nameOf(name string) hcl.Range {
	if a := r.body.Attributes[name]; a != nil {
		return a.NameRange
	}
	return r.at
}
