package plan

import (
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// OtherImage reports whether the container was created from another image than the one that its
// reference means in this generation.
func (in Input) OtherImage(c *spec.Container, s host.ContainerState) bool {
	digest, ok := in.Digests[c.Image]
	return ok && s.ImageDigest != "" && digest != s.ImageDigest
}

// FoundDigests returns the digests that containers were created from, for references that the
// generation does not pin. A reference is left out if two containers have different digests for it.
// An earlier daemon could leave such containers.
func (in Input) FoundDigests() group.ImageDigests {
	found, ambiguous := group.ImageDigests{}, map[string]bool{}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, ok := in.Observed.Container(c.Name)
		if _, pinned := in.Digests[c.Image]; pinned || !ok || s.Digest != c.Digest || s.ImageDigest == "" {
			continue
		}
		if digest, twice := found[c.Image]; twice && digest != s.ImageDigest {
			ambiguous[c.Image] = true
		}
		found[c.Image] = s.ImageDigest
	}
	for ref := range ambiguous {
		delete(found, ref)
	}
	return found
}
