package signed

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore/pkg/signature"
)

// maxPayload limits a simple signing payload, in bytes. cosign's have some 250.
const maxPayload = 64 << 10

// simpleType is the type that a payload of cosign has.
const simpleType = "cosign container image signature"

// A payload is the part of a simple signing payload that counts. Its format is that of podman's
// containers-signature.5, which cosign uses with a type of its own.
type payload struct {
	Critical struct {
		Type  string `json:"type"`
		Image struct {
			Digest digest.Digest `json:"docker-manifest-digest"`
		} `json:"image"`
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
	} `json:"critical"`
}

// readPayload reads a simple signing payload. Names count as they are written, and none twice:
// readers that differ there would see different images.
func readPayload(text []byte) (p payload, err error) {
	if len(text) > maxPayload {
		return p, fmt.Errorf("its payload has %d bytes, and %d are the most", len(text), maxPayload)
	}
	if err := plainNames(text); err != nil {
		return p, fmt.Errorf("its payload can't be read: %w", err)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("its payload can't be read: %w", err)
	}
	switch c := p.Critical; {
	case c.Type != simpleType:
		return p, fmt.Errorf("its payload is for %q, and not for an image", c.Type)
	case c.Image.Digest.Validate() != nil:
		return p, fmt.Errorf("its payload has no digest of an image, but %q", c.Image.Digest)
	}
	return p, nil
}

// plainNames returns an error if text is not one JSON object, or if an object in it has two names
// that differ at most in case: encoding/json would take the last one.
func plainNames(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if err := plainValue(d, true, 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("something follows the JSON")
	}
	return nil
}

const maxNesting = 64

func plainValue(d *json.Decoder, object bool, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if object && t != json.Delim('{') {
		return fmt.Errorf("it is no JSON object")
	}
	if depth == maxNesting {
		return fmt.Errorf("its JSON is nested too deeply")
	}
	switch t {
	case json.Delim('{'):
		seen := map[string]bool{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return err
			}
			folded := strings.ToLower(name.(string)) // a decoder returns nothing else in this place
			if seen[folded] {
				return fmt.Errorf("it has %q twice", name)
			}
			seen[folded] = true
			if err := plainValue(d, false, depth+1); err != nil {
				return err
			}
		}
	case json.Delim('['):
		for d.More() {
			if err := plainValue(d, false, depth+1); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = d.Token() // the end of it
	return err
}

// verifySimple verifies a simple signing payload. identity is the repository that it has to name.
// Empty means the image's.
func verifySimple(text, sig []byte, key crypto.PublicKey, identity string, image Image) error {
	p, err := readPayload(text)
	if err != nil {
		return err
	}
	if !signs(key, sig, text) {
		return errOtherKey
	}
	if p.Critical.Image.Digest != image.Digest {
		return fmt.Errorf("it is for %s", p.Critical.Image.Digest)
	}
	if identity == "" {
		identity = image.Repository
	}
	if identity == "" {
		return nil // a file: nothing else names it
	}
	return checkIdentity(p.Critical.Identity.Reference, identity)
}

// checkIdentity returns an error unless the reference of a signature is that of the repository.
func checkIdentity(named, repository string) error {
	signed, err := reference.ParseNormalizedNamed(named)
	if err != nil {
		return fmt.Errorf("it names the repository %q, which is none", named)
	}
	if canonical(signed.Name()) != canonical(repository) {
		return &OtherIdentityError{Signed: signed.Name(), Wanted: repository}
	}
	return nil
}

// An OtherIdentityError is the error of a signature that was made for another repository.
type OtherIdentityError struct{ Signed, Wanted string }

func (e *OtherIdentityError) Error() string {
	return fmt.Sprintf("it was made for the repository %s, and not for %s", e.Signed, e.Wanted)
}

// canonical returns the name of a repository as containerd has it. cosign writes Docker Hub's as
// index.docker.io.
func canonical(repository string) string {
	if rest, ok := strings.CutPrefix(repository, "index.docker.io/"); ok {
		return "docker.io/" + rest
	}
	return repository
}

// signs reports whether sig is a signature of the message. cosign hashes with SHA-256, and since
// its version 3 with the hash that belongs to the key, also before it signs with Ed25519
// (Ed25519ph).
func signs(key crypto.PublicKey, sig, message []byte) bool {
	for _, v := range verifiers(key) {
		if v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)) == nil {
			return true
		}
	}
	return false
}

// verifiers returns what may verify a signature of a key.
func verifiers(key crypto.PublicKey) (all []signature.Verifier) {
	if v, err := signature.LoadVerifier(key, crypto.SHA256); err == nil {
		all = append(all, v)
	}
	if v, err := signature.LoadDefaultVerifier(key); err == nil {
		all = append(all, v)
	}
	if k, ok := key.(ed25519.PublicKey); ok {
		if v, err := signature.LoadED25519phVerifier(k); err == nil {
			all = append(all, v)
		}
	}
	return all
}
