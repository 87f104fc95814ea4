package keeper

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// locked returns the digests with those of the lock files beside the files, by group. A rollback
// has digests of its own, which count first.
func (c *change) locked(digests map[string]group.ImageDigests) map[string]group.ImageDigests {
	out := maps.Clone(digests)
	for _, b := range c.files {
		for i := range c.groups {
			g := &c.groups[i]
			if own := c.of[b.Name]; len(b.Locked) == 0 || !slices.Contains(own, g.Name) {
				continue
			}
			if out == nil {
				out = map[string]group.ImageDigests{}
			}
			out[g.Name] = out[g.Name].LockedIn(b, g)
		}
	}
	return out
}

// lockProblem adds to the error of an image what to do where a lock file pins it.
func (c *change) lockProblem(g *spec.Group, ref, digest string, err error) error {
	for _, b := range c.files {
		if slices.Contains(c.of[b.Name], g.Name) && digest != "" && b.Locked[ref] == digest {
			return &hint.Error{
				Err:  fmt.Errorf("its lock file pins %s: %w", spec.ShortDigest(digest), err),
				Hint: "bring that image; or, if another one is meant, sallyport lock --update " + b.Path,
			}
		}
	}
	return err
}
