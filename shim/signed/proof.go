package signed

import (
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/sallyport/sallyport/spec"
)

// A Form is how a signature is written.
type Form string

const (
	Simple Form = "simple-signing"  // cosign before version 3: a payload, and a signature of its bytes
	Bundle Form = "sigstore-bundle" // cosign since version 3: an in-toto statement or a digest, signed
)

// A Proof is a signature, with all that it takes to verify it without a registry. Its JSON is kept
// on disk.
type Proof struct {
	Form      Form   `json:"form"`
	Payload   []byte `json:"payload,omitempty"`   // of a Simple one
	Signature []byte `json:"signature,omitempty"` // of a Simple one
	Bundle    []byte `json:"bundle,omitempty"`
	Keyless   bool   `json:"-"`              // a Simple one that was made by a certificate: it is no proof, and is not kept
	Key       string `json:"key,omitempty"`  // fingerprint of the key that it was verified with, for an operator
	From      string `json:"from,omitempty"` // where it was found, for an operator
}

// An Image describes the image that a signature has to be for.
type Image struct {
	Digest digest.Digest // of the index or manifest
	// Repository is that of the image, completed: "docker.io/library/nginx". It is empty for an
	// image of a file.
	Repository string
}

// RepositoryOf returns the repository of a registry's image.
func RepositoryOf(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", err
	}
	return named.Name(), nil
}

// errKeyless is the error of a signature that was made with a key that was thrown away. A
// certificate has its identity.
var errKeyless = errors.New("it is signed without a key (keyless, by a certificate); such signatures are not taken, because to check one takes the network: " +
	"ask for a signature with a key, or sign the image with your own")

// errOtherKey is the error of a signature that the key has not made, or of other bytes.
var errOtherKey = errors.New("it is of another key, or was changed")

// Verify returns nil if the owner of the signer's key has signed the image. The error is a part of
// a sentence about the signature.
func (p Proof) Verify(s spec.Signer, image Image) error {
	key, err := spec.ParsePublicKey([]byte(s.Key))
	if err != nil {
		return fmt.Errorf("the key can't be used: %w", err)
	}
	if image.Digest.Algorithm() != digest.SHA256 || image.Digest.Validate() != nil {
		return fmt.Errorf("the image has the digest %q, and only those of sha256 are signed", image.Digest)
	}
	switch p.Form {
	case Simple:
		err := verifySimple(p.Payload, p.Signature, key.Key, s.Identity, image)
		if p.Keyless && errors.Is(err, errOtherKey) {
			return errKeyless
		}
		return err
	case Bundle:
		return verifyBundle(p.Bundle, key.Key, image)
	}
	return fmt.Errorf("it has the form %q, which this version doesn't know", p.Form)
}

// By returns the first of the signers who has signed the image by one of the proofs.
func By(signers []spec.Signer, proofs []Proof, image Image) (by spec.Signer, proof Proof, ok bool) {
	for _, s := range signers {
		for _, p := range proofs {
			if p.Verify(s, image) == nil {
				return s, p, true
			}
		}
	}
	return by, proof, false
}
