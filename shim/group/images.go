package group

import (
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// ImageDigests are the digests that a generation's image references are pinned to, by reference.
// Each is the digest of a manifest or an index. An apply pins all references, to what they mean on
// the host at that time. A reference that comes with an edit by hand is pinned as soon as a
// container has been created from it. Until then it means what it means on the host.
type ImageDigests map[string]string

// DigestsOf returns the digests of resolved images.
func DigestsOf(images map[string]host.Image) ImageDigests {
	p := ImageDigests{}
	for ref, i := range images {
		p[ref] = i.Digest
	}
	return p
}

// Merge returns the digests of the group's images, from p, else from other. The result is nil if
// there are none.
func (p ImageDigests) Merge(g *spec.Group, other ImageDigests) ImageDigests {
	var out ImageDigests
	for i := range g.Containers {
		ref := g.Containers[i].Image
		digest, ok := p[ref]
		if !ok {
			digest, ok = other[ref]
		}
		if ok {
			if out == nil {
				out = ImageDigests{}
			}
			out[ref] = digest
		}
	}
	return out
}

// LockedIn returns the digests of the references, from p, else from the lock file of the bundle.
// The result is p if the lock file has none of them.
func (p ImageDigests) LockedIn(b Bundle, g *spec.Group) ImageDigests {
	if len(b.Locked) == 0 {
		return p
	}
	return p.Merge(g, b.Locked)
}

// Differ reports whether a reference is in both with different digests. A missing one is no
// difference.
func (p ImageDigests) Differ(other ImageDigests) bool {
	for ref, digest := range p {
		if o, ok := other[ref]; ok && o != digest {
			return true
		}
	}
	return false
}
