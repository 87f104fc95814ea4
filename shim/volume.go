package shim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

func find(volumes []spec.Volume, name string) *spec.Volume {
	i := slices.IndexFunc(volumes, func(v spec.Volume) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &volumes[i]
}

// sameVolume says that what is mounted is what is wanted.
func sameVolume(mounted, wanted spec.Volume) bool {
	switch {
	case !sameKind(mounted, wanted):
		return false
	case wanted.HostPath != "":
		return true
	case wanted.Persistent:
		return sameOwnership(mounted, wanted)
	default:
		return sameSize(mounted.Size, wanted.Size) && sameOwnership(mounted, wanted)
	}
}

// sameKind says that one can be made the other with what is in it.
func sameKind(a, b spec.Volume) bool { return a.Persistent == b.Persistent && a.HostPath == b.HostPath }

func sameOwnership(a, b spec.Volume) bool { return ownershipNote(a) == ownershipNote(b) }

// sameSize allows for the rounding up to pages, of which the largest are 64 KiB.
func sameSize(mounted, wanted int64) bool { return mounted >= wanted && mounted-wanted < 64<<10 }

// volumeText is a volume in an operator's words: "logs (64MiB)", "data (persistent, owner 65532:65532)".
func volumeText(v spec.Volume) string {
	var words []string
	switch {
	case v.HostPath != "":
		words = append(words, v.HostPath+" of the host")
	case v.Persistent:
		words = append(words, "persistent")
	default:
		words = append(words, sizeText(v.Size))
	}
	if v.Owner != "" {
		words = append(words, "owner "+v.Owner)
	}
	if v.Mode != 0 {
		words = append(words, fmt.Sprintf("mode %04o", v.Mode))
	}
	return fmt.Sprintf("%s (%s)", v.Name, strings.Join(words, ", "))
}

// unmountText says what becomes of what is in the volume, where that is not its end.
func unmountText(v spec.Volume) string {
	if v.Persistent {
		return "unmount volume " + v.Name + ", keep what is in it"
	}
	return "unmount volume " + v.Name
}
