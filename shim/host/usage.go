package host

import "time"

// A Usage lists what takes the room of an instance. The JSON crosses the control socket.
type Usage struct {
	Disks []DiskUsage `json:"disks"`
	// Consumers has everything but images, what takes most first. A consumer in memory is on none
	// of the disks.
	Consumers []Consumer `json:"consumers"`
	Images    Images     `json:"images"`
	// Unknown has what could not be asked for, and why. Its numbers are missing.
	Unknown []string `json:"unknown,omitempty"`
}

// A DiskUsage is a disk, and how much of it the instance takes.
type DiskUsage struct {
	Disk
	Taken uint64 `json:"taken"` // bytes
}

// Images are those that the containers' runtime has for the instance.
type Images struct {
	Path string       `json:"path,omitempty"` // the folder that they are in
	All  []ImageUsage `json:"all"`            // the largest first
	// Shared counts what several images have in common, once, in bytes. Images share layers.
	Shared uint64 `json:"shared"`
	// Other counts what belongs to no image: layers of an image that was deleted while a container
	// has it, and content that is being pulled.
	Other uint64 `json:"other,omitempty"`
	// Remove is the command that deletes images, but for their names.
	Remove string `json:"remove,omitempty"`
	// CanFree is how many bytes would be freed if all were removed that are [ImageUsage.Removable].
	CanFree uint64 `json:"can_free,omitempty"`

	Sizes map[string]uint64 `json:"-"` // in bytes, of all that images consist of
}

// An ImageUsage is an image on the host. Its size is Own and Common.
type ImageUsage struct {
	Names  []string `json:"names"` // the one for people first; empty if all were deleted
	Digest string   `json:"digest"`
	Own    uint64   `json:"own"`    // bytes that no other image has
	Common uint64   `json:"common"` // bytes that other images have as well
	// Groups are those that have a container of it or name it, and those with a generation that can
	// be gone back to and does.
	Groups []string `json:"groups,omitempty"`
	// Kept is why the image stays although no group uses it.
	Kept string `json:"kept,omitempty"`
	// Unused is since when no group uses it. It is zero while one does, and while it is not known.
	Unused time.Time `json:"unused_since,omitzero"`
	// SignedBy has the fingerprints of the keys whose proofs are kept: "sha256:..."
	SignedBy []string `json:"signed_by,omitempty"`

	Parts []string `json:"-"` // keys of [Images].Sizes
}

// Reasons why an image stays that no group uses.
const (
	KeptByHand  = "it was brought by hand, and no group has used it by that name yet"
	KeptPinned  = "it has the label io.cri-containerd.pinned"
	KeptForeign = "a container has it that is of no group"
)

// Removable reports whether nothing is lost with the image.
func (i ImageUsage) Removable() bool { return len(i.Groups) == 0 && i.Kept == "" }

// An ImageRemoval is the removal of an image. The JSON crosses the control socket.
type ImageRemoval struct {
	Names  []string `json:"names"` // as those of an ImageUsage
	Digest string   `json:"digest"`
	Frees  uint64   `json:"frees"` // bytes that no image has after it
	Why    string   `json:"why"`
}
