// Package signedtest makes keys, and signatures of images as cosign writes them, for tests.
package signedtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"
)

// A Kind is an algorithm of keys.
type Kind string

// Kinds are all of them.
var Kinds = []Kind{"ecdsa", "ecdsa-p384", "rsa", "ed25519"}

// A Key signs.
type Key struct {
	Public  string // in PEM
	private crypto.Signer
}

// NewKey returns a key of a kind.
func NewKey(t testing.TB, kind Kind) Key {
	t.Helper()
	var private crypto.Signer
	var err error
	switch kind {
	case "ecdsa":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("no kind of keys is %q", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return Key{PublicPEM(t, private.Public()), private}
}

// PublicPEM returns a public key in PEM.
func PublicPEM(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Sign returns the signature of a message.
func (k Key) Sign(t testing.TB, message []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(message)
	signed, hash := sum[:], crypto.SHA256
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		signed, hash = message, 0
	}
	sig, err := k.private.Sign(rand.Reader, signed, hash)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// Payload returns a simple signing payload for an image of a repository.
func Payload(repository, digest string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, repository, digest)
}

// Signed is the predicate of cosign's signatures.
const Signed = "https://sigstore.dev/cosign/sign/v1"

// Statement returns an in-toto statement about an image. digest has hexadecimal digits alone.
func Statement(predicate, digest string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, digest, predicate)
}

// Bundle returns a sigstore bundle with a signed statement.
func (k Key) Bundle(t testing.TB, statement []byte) []byte {
	t.Helper()
	const kind = "application/vnd.in-toto+json"
	sig := k.Sign(t, fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(statement), statement))
	return bundle(t, "dsseEnvelope", map[string]any{"payload": statement, "payloadType": kind, "signatures": []any{map[string]any{"sig": sig}}})
}

// BlobBundle returns a sigstore bundle with a signature of bytes.
func (k Key) BlobBundle(t testing.TB, blob []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(blob)
	return bundle(t, "messageSignature", map[string]any{
		"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": sum[:]}, "signature": k.Sign(t, blob),
	})
}

func bundle(t testing.TB, name string, content map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": base64.StdEncoding.EncodeToString([]byte("x"))}},
		name:                   content,
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
