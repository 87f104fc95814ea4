package group

import (
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// ImageDigests are the digests, of a manifest or an index, that the image references of a group are
// pinned to in one generation, by reference. An apply pins all references, to what they mean on the
// host at that time. A reference that an edit by hand brings is pinned as soon as a container has
// been made from it. Until then its meaning on the host counts.
type ImageDigests map[string]string

// DigestsOf returns the digests of resolved images.
func DigestsOf(images map[string]host.Image) ImageDigests {
	p := ImageDigests{}
	for ref, i := range images {
		p[ref] = i.Digest
	}
	return p
}

// Merge returns the digests of the group's images, from p, else from other. They are nil if there
// are none.
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
