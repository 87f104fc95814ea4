package ctrd

import (
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/signed"
	"github.com/sallyport/sallyport/spec"
)

// ProofOf implements [keeper.Proofs].
func (c *Client) ProofOf(container spec.Container, id string) (p host.ImageProof) {
	src, err := parseSource(container.Image)
	if err != nil {
		return p
	}
	image, err := signedImage(src, digest.Digest(id))
	if err != nil {
		return p
	}
	wanted := c.wanted([][]spec.Signer{container.SignedBy}, image)
	if len(wanted) == 0 {
		return p
	}
	proofs, err := c.proofs.Of(image.Digest)
	if err != nil {
		c.log.Warn("proofs of an image's signature can't be read", "image", src.ref, "error", err)
	}
	for _, w := range wanted {
		by, _, ok := signed.By(w.signers, proofs, image)
		switch {
		case !ok && p.Missing == "":
			p.Missing = "this host has no proof that it is signed with the key " + w.String()
		case ok && !slices.Contains(p.SignedBy, by.Title()):
			p.SignedBy = append(p.SignedBy, by.Title())
		}
	}
	return p
}

// proofNotes returns the notes about the proof of a container's image.
func (c *Client) proofNotes(container spec.Container, id string) (notes []string) {
	p := c.ProofOf(container, id)
	for _, key := range p.SignedBy {
		notes = append(notes, "its image is signed with the key "+key)
	}
	if p.Missing != "" {
		notes = append(notes, "its image has to be signed: "+p.Missing+" so far")
	}
	return notes
}

// provedKeys returns the fingerprints of the keys that the kept proofs of each digest were verified
// with.
func (c *Client) provedKeys() map[string][]string {
	keys := map[string][]string{}
	all, err := c.proofs.All()
	if err != nil {
		c.log.Warn("proofs of images' signatures can't be listed", "error", err)
	}
	for _, id := range all {
		proofs, err := c.proofs.Of(id)
		if err != nil {
			c.log.Warn("proofs of an image's signature can't be read", "digest", id, "error", err)
		}
		for _, p := range proofs {
			if key := "sha256:" + p.Key; p.Key != "" && !slices.Contains(keys[id.String()], key) {
				keys[id.String()] = append(keys[id.String()], key)
			}
		}
	}
	return keys
}
