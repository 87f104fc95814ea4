package hosttest

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Unsign makes an image one that its signers have not signed. All others are signed by every key.
func (h *Host) Unsign(digest string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signatures[digest] = unsigned
}

// ForgetProofs makes the host one that has lost all proofs of signatures.
func (h *Host) ForgetProofs() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for digest, s := range h.signatures {
		if s == proved {
			delete(h.signatures, digest)
		}
	}
}

// A signature is the state of an image's signature on the host. The zero value is one that was not
// verified yet.
type signature int

const (
	unsigned signature = iota + 1
	proved
)

// prove verifies the signature of an image, if the context has signers. The caller holds mu.
func (h *Host) prove(ctx context.Context, digest string) error {
	if len(host.SignersOf(ctx)) == 0 {
		return nil
	}
	if h.signatures[digest] == unsigned {
		return &hint.Error{Err: fmt.Errorf("image %s is not signed", digest), Hint: "sign it"}
	}
	h.signatures[digest] = proved
	return nil
}

// checkProved returns an error for a container whose image has to be signed and is not known to be.
// The caller holds mu.
func (h *Host) checkProved(c spec.Container, digest string) error {
	if len(c.SignedBy) > 0 && h.signatures[digest] != proved {
		return fmt.Errorf("this host has no proof that image %s is signed", digest)
	}
	return nil
}
