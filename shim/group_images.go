package shim

import "github.com/sallyport/sallyport/spec"

// Pins are what the image references of a group mean to one generation of it: by reference, the digest of a manifest or index. An
// apply pins them all, to what they mean on the host by then. What an edit by hand brings along is pinned as soon as a container has
// been made from it; until then, a reference that is not among them means whatever it does on the host.
type ImageDigests map[string]string

// pinsOf are the pins that resolved images come to.
func digestsOf(images map[string]Image) ImageDigests {
	p := ImageDigests{}
	for ref, i := range images {
		p[ref] = i.Digest
	}
	return p
}

// of are the pins of a group that come from two places: what p says of a reference, and else what other does. nil: none.
func (p ImageDigests) merge(g *spec.Group, other ImageDigests) ImageDigests {
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

// differ says that a reference is in both and means something else. What is not known is no difference.
func (p ImageDigests) differ(other ImageDigests) bool {
	for ref, digest := range p {
		if o, ok := other[ref]; ok && o != digest {
			return true
		}
	}
	return false
}
