package hosttest

import (
	"context"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Unsign makes an image one that its signers have not signed. All others are signed by every key
// but those of strangers.
func (h *Host) Unsign(digest string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unsigned[digest] = true
	delete(h.proofs, digest)
}

// Disown makes a key that of a stranger, who has signed nothing.
func (h *Host) Disown(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.strangers[key] = true
}

// ForgetProofs makes the host one that has lost all proofs of signatures.
func (h *Host) ForgetProofs() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.proofs)
}

// prove verifies the signature of an image and keeps the proofs, if the context has signers. The
// caller holds mu.
func (h *Host) prove(ctx context.Context, digest string) error {
	for _, list := range host.SignersOf(ctx) {
		if h.proved(list, digest) {
			continue
		}
		i := slices.IndexFunc(list, func(s spec.Signer) bool { return !h.strangers[s.Key] && !h.unsigned[digest] })
		if i < 0 {
			return &hint.Error{Err: fmt.Errorf("image %s is not signed", digest), Hint: "sign it"}
		}
		if h.proofs[digest] == nil {
			h.proofs[digest] = map[string]bool{}
		}
		h.proofs[digest][list[i].Key] = true
	}
	return nil
}

// proved reports whether the host has a proof that one of the signers has signed an image. The
// caller holds mu.
func (h *Host) proved(by []spec.Signer, digest string) bool {
	return slices.ContainsFunc(by, func(s spec.Signer) bool { return h.proofs[digest][s.Key] })
}

// checkProved returns an error for a container whose image has to be signed and is not known to be.
// The caller holds mu.
func (h *Host) checkProved(c spec.Container, digest string) error {
	if len(c.SignedBy) > 0 && !h.proved(c.SignedBy, digest) {
		return &hint.Error{Err: fmt.Errorf("this host has no proof that image %s is signed", digest), Hint: "apply the file again"}
	}
	return nil
}
