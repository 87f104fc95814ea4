package spec

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	maxSigners     = 16       // signed_by blocks of one container, or of one group
	maxKeyFile     = 64 << 10 // bytes
	maxBundleFile  = 1 << 20  // bytes
	leastRSA       = 2048     // bits
	publicKeyBlock = "PUBLIC KEY"
)

// A Signer is a `signed_by` block: a public key whose owner may have signed an image.
type Signer struct {
	Key  string `json:"key"`  // PEM, one public key: see [ParsePublicKey]
	File string `json:"file"` // the key's file as the group file names it, for messages
	// Identity is the repository that the signature names. Empty means that of the image.
	Identity string `json:"identity,omitempty"`
	// Bundle is the signature as a sigstore bundle. It is empty if the registry of the image has
	// the signature.
	Bundle     []byte `json:"bundle,omitempty"`
	BundleFile string `json:"bundle_file,omitempty"` // the bundle's file, for messages
}

// A PublicKey is a key that verifies signatures of images.
type PublicKey struct {
	Key         crypto.PublicKey // *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey
	Fingerprint string           // the SHA-256 of its DER encoding (SubjectPublicKeyInfo), in hexadecimal digits
}

// ParsePublicKey reads a file with one public key in PEM, as "cosign public-key" and "openssl pkey
// -pubout" write it. The error is a part of a sentence, in an operator's words.
func ParsePublicKey(text []byte) (PublicKey, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return PublicKey{}, errors.New("it has no key in PEM, which begins with -----BEGIN PUBLIC KEY-----")
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return PublicKey{}, errors.New("it has a private key, which belongs to who signs, and not on this host. cosign public-key --key FILE writes the public one")
	case block.Type == "CERTIFICATE":
		return PublicKey{}, errors.New("it has a certificate. openssl x509 -pubkey -noout -in FILE writes the public key in it")
	case block.Type != publicKeyBlock:
		return PublicKey{}, fmt.Errorf("it has a PEM block of type %q, and a public key has the type %q", block.Type, publicKeyBlock)
	case bytes.Contains(rest, []byte("-----BEGIN ")):
		return PublicKey{}, errors.New("it has more than one key. Write a signed_by block for each, with a file of its own")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return PublicKey{}, errors.New("its public key can't be read: it is damaged, or of a kind that is not known")
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
	case *rsa.PublicKey:
		if k.N.BitLen() < leastRSA {
			return PublicKey{}, fmt.Errorf("its RSA key has %d bits, which is too weak: %d are the least", k.N.BitLen(), leastRSA)
		}
	default:
		return PublicKey{}, errors.New("its public key is none of ECDSA, RSA and Ed25519")
	}
	sum := sha256.Sum256(block.Bytes)
	return PublicKey{Key: key, Fingerprint: hex.EncodeToString(sum[:])}, nil
}

// Title returns the signer in the words of messages: the file of its key, and the beginning of the
// key's fingerprint.
func (s Signer) Title() string {
	key, err := ParsePublicKey([]byte(s.Key))
	if err != nil {
		return s.File
	}
	return fmt.Sprintf("%s (sha256:%s)", s.File, key.Fingerprint[:12])
}

// SignersOf returns who has to have signed an image of the group. One signer of each list suffices.
// It is empty if the image needs no signature.
func (g *Group) SignersOf(image string) (all [][]Signer) {
	for _, c := range g.Containers {
		if c.Image == image && len(c.SignedBy) > 0 && !slices.ContainsFunc(all, func(l []Signer) bool { return sameSigners(l, c.SignedBy) }) {
			all = append(all, c.SignedBy)
		}
	}
	return all
}

func sameSigners(a, b []Signer) bool {
	return slices.EqualFunc(a, b, func(x, y Signer) bool {
		return x.Key == y.Key && x.File == y.File && x.Identity == y.Identity && x.BundleFile == y.BundleFile && bytes.Equal(x.Bundle, y.Bundle)
	})
}

// signers reads the signed_by blocks of a group or a container.
func (d *groupDecoder) signers(block *hclsyntax.Block) (all []Signer) {
	blocks := blocksOf(block.Body, "signed_by")
	for i, b := range blocks {
		if i == maxSigners {
			d.errorf(b.DefRange(), "Too many keys", "At most %d signed_by blocks stand in one block. One key that has signed the image suffices.", maxSigners)
			return all
		}
		if s, ok := d.signer(b); ok {
			all = append(all, s)
		}
	}
	return all
}

func (d *groupDecoder) signer(block *hclsyntax.Block) (s Signer, ok bool) {
	r := d.in(block)
	file, at, ok := r.text("key", required)
	if !ok {
		return s, false
	}
	s.File = file
	content, ok := d.read(file, at)
	if !ok {
		return s, false
	}
	err := fmt.Errorf("it has %d KiB, and a key has a few hundred bytes", len(content)>>10)
	if len(content) <= maxKeyFile {
		_, err = ParsePublicKey(content)
	}
	if err != nil {
		d.errorf(at, "Invalid key", "%s is no public key that signatures can be verified with: %s.", quote(file), err)
		return s, false
	}
	pemBlock, _ := pem.Decode(content)
	pemBlock.Headers = nil
	s.Key = string(pem.EncodeToMemory(pemBlock)) // without what stands around it, which changes nothing
	return s, d.signerIdentity(r, &s) && d.signerBundle(r, &s)
}

func (d *groupDecoder) signerIdentity(r reader, s *Signer) bool {
	identity, at, ok := r.text("identity", optional)
	if !ok {
		return true // null, or reported
	}
	named, err := reference.ParseNormalizedNamed(identity)
	switch {
	case strings.Contains(identity, "://") || err != nil:
		d.errorf(at, "Invalid identity", "%s is no repository. Write the one that the signature was made for: \"registry.example/vendor/app\".", quote(identity))
		return false
	case !reference.IsNameOnly(named):
		d.errorf(at, "Invalid identity", "%s has a tag or a digest. Write the repository alone: %s", quote(identity), quote(reference.TrimNamed(named).Name()))
		return false
	}
	s.Identity = named.Name()
	return true
}

func (d *groupDecoder) signerBundle(r reader, s *Signer) bool {
	file, at, ok := r.text("bundle", optional)
	if !ok {
		return true // null, or reported
	}
	content, ok := d.read(file, at)
	switch {
	case !ok:
		return false
	case len(content) > maxBundleFile:
		d.errorf(at, "File too large", "%s has %d KiB; a bundle has at most %d KiB.", quote(file), len(content)>>10, maxBundleFile>>10)
		return false
	case len(bytes.TrimSpace(content)) == 0 || bytes.TrimSpace(content)[0] != '{':
		d.errorf(at, "Invalid bundle", "%s is no sigstore bundle, which is JSON. cosign writes one with --bundle FILE.", quote(file))
		return false
	}
	s.Bundle, s.BundleFile = content, file
	return true
}

// checkSigned gives the containers without signed_by blocks those of their group. It reports images
// of files whose signature could be found nowhere.
func (d *groupDecoder) checkSigned(g *Group, block *hclsyntax.Block) {
	common := d.signers(block)
	at := map[string]hcl.Range{}
	for _, b := range containersOf(block) {
		if name, ok := label(b); ok {
			at[name] = b.DefRange()
		}
	}
	for i := range g.Containers {
		c := &g.Containers[i]
		if len(c.SignedBy) == 0 {
			c.SignedBy = slices.Clone(common)
		}
		if len(c.SignedBy) > 0 && isArchive(c.Image) && !slices.ContainsFunc(c.SignedBy, func(s Signer) bool { return len(s.Bundle) > 0 }) {
			d.errorf(at[c.Name], "No signature of an image in a file", "%s is not from a registry, which would have its signature. Give the container a block with the signature as a file: signed_by { key = %s, bundle = \"image.sigstore.json\" }, on several lines.", quote(c.Image), quote(c.SignedBy[0].File))
		}
	}
}
