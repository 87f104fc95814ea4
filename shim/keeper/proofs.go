package keeper

import (
	"slices"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Proofs knows which images are proved to be signed. Implemented by ctrd.Client.
type Proofs interface {
	// ProofOf returns what is proved about the container's image, with that digest. It asks no
	// registry. The zero value is an image that needs no signature.
	ProofOf(c spec.Container, digest string) host.ImageProof
}

// addProofs adds to a status what is proved about the images of its containers. A proof is verified
// each time, so this is for the status of one group.
func (k *Keeper) addProofs(st *group.Status) {
	if k.config.Proofs == nil {
		return
	}
	w := k.wantedNow(st.Name)
	st.Containers = slices.Clone(st.Containers) // the runner has them, too
	for i := range st.Containers {
		c := w.Group.Container(st.Containers[i].Name)
		if c == nil || w.Pins[c.Image] == "" {
			continue
		}
		p := k.config.Proofs.ProofOf(*c, w.Pins[c.Image])
		st.Containers[i].SignedBy, st.Containers[i].Unproved = p.SignedBy, p.Missing
	}
}
