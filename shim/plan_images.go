package shim

// seen are the pins of what containers have been made from, as far as the generation has none. A reference of which two of them
// know a different meaning, as an earlier daemon could leave them, stays without one.
func (in PlanInput) foundDigests() ImageDigests {
	found, torn := ImageDigests{}, map[string]bool{}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, ok := in.Observed.container(c.Name)
		if _, pinned := in.Pins[c.Image]; pinned || !ok || s.Digest != c.Digest || s.ImageDigest == "" {
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
