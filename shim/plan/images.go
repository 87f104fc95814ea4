package plan

import "github.com/sallyport/sallyport/shim/group"

// FoundDigests returns the digests that containers were made from, for references that the
// generation does not pin. A reference for which two containers have different digests is left out.
// An earlier daemon could leave such containers.
func (in Input) FoundDigests() group.ImageDigests {
	found, torn := group.ImageDigests{}, map[string]bool{}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, ok := in.Observed.Container(c.Name)
		if _, pinned := in.Digests[c.Image]; pinned || !ok || s.Digest != c.Digest || s.ImageDigest == "" {
			continue
		}
		if digest, twice := found[c.Image]; twice && digest != s.ImageDigest {
			torn[c.Image] = true
		}
		found[c.Image] = s.ImageDigest
	}
	for ref := range torn {
		delete(found, ref)
	}
	return found
}
