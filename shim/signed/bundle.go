package signed

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	commonpb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	dssepb "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"google.golang.org/protobuf/encoding/protojson"
)

// maxBundle limits a bundle, in bytes.
const maxBundle = 1 << 20

const (
	bundleType    = "application/vnd.dev.sigstore.bundle" // what each version's media type begins with
	statementType = "application/vnd.in-toto+json"
	// signedImage is the predicate of cosign's signatures. Other statements are attestations, such
	// as the report of a scan: they don't mean that the image is to be run.
	signedImage = "https://sigstore.dev/cosign/sign/v1"
)

// A statement is the part of an in-toto statement that counts.
type statement struct {
	Type    string `json:"_type"`
	Subject []struct {
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	PredicateType string `json:"predicateType"`
}

func readBundle(text []byte) (*bundlepb.Bundle, error) {
	if len(text) > maxBundle {
		return nil, fmt.Errorf("its bundle has %d bytes, and %d are the most", len(text), maxBundle)
	}
	b := &bundlepb.Bundle{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, b); err != nil {
		return nil, errors.New("its bundle can't be read: " + strings.ReplaceAll(err.Error(), "\u00a0", " ")) // protojson has these at random
	}
	if !strings.HasPrefix(b.GetMediaType(), bundleType) {
		return nil, fmt.Errorf("it is no sigstore bundle: its media type is %q", b.GetMediaType())
	}
	return b, nil
}

// verifyBundle verifies a sigstore bundle with a key. What a bundle has beside that, such as an
// entry of a transparency log, is not looked at.
func verifyBundle(text []byte, key crypto.PublicKey, image Image) error {
	b, err := readBundle(text)
	if err != nil {
		return err
	}
	if b.GetVerificationMaterial().GetCertificate() != nil || b.GetVerificationMaterial().GetX509CertificateChain() != nil {
		return errKeyless
	}
	if e := b.GetDsseEnvelope(); e != nil {
		signed := enveloped(e.GetPayloadType(), e.GetPayload())
		if !slices.ContainsFunc(e.GetSignatures(), func(s *dssepb.Signature) bool { return signs(key, s.GetSig(), signed) }) {
			return errOtherKey
		}
		return checkStatement(e.GetPayloadType(), e.GetPayload(), image)
	}
	if m := b.GetMessageSignature(); m != nil {
		return verifyMessage(m, key, image)
	}
	return errors.New("its bundle has no signature")
}

// enveloped returns the bytes that the signature of a DSSE envelope is over: PAE in the protocol of
// github.com/secure-systems-lab/dsse.
func enveloped(kind string, text []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(text), text)
}

// checkStatement returns an error unless the statement, whose signature is verified, is for the
// image.
func checkStatement(kind string, text []byte, image Image) error {
	var s statement
	if kind != statementType {
		return fmt.Errorf("it has signed something else than a statement: %q", kind)
	}
	if err := plainNames(text); err != nil {
		return fmt.Errorf("its statement can't be read: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("its statement can't be read: %w", err)
	}
	if s.PredicateType != signedImage {
		return fmt.Errorf("it is a statement about the image (%q), and no signature of it", s.PredicateType)
	}
	var digests []string
	for _, subject := range s.Subject {
		digests = append(digests, "sha256:"+subject.Digest["sha256"])
	}
	switch {
	case slices.Contains(digests, image.Digest.String()):
		return nil
	case len(digests) == 0:
		return errors.New("its statement is about no image")
	}
	return fmt.Errorf("it is for %s", digests[0])
}

// verifyMessage verifies a signature of the bytes of the index or manifest, as "cosign sign-blob"
// makes it. They have the image's digest, so the digest suffices, except for Ed25519.
func verifyMessage(m *commonpb.MessageSignature, key crypto.PublicKey, image Image) error {
	if _, ok := key.(ed25519.PublicKey); ok {
		return errors.New("it is of a file (sign-blob), which can't be verified with an Ed25519 key and a digest alone")
	}
	sum, err := hex.DecodeString(image.Digest.Encoded())
	if err != nil {
		return err
	}
	for _, v := range verifiers(key) {
		if v.VerifySignature(bytes.NewReader(m.GetSignature()), nil, options.WithDigest(sum), options.WithCryptoSignerOpts(crypto.SHA256)) == nil {
			return nil
		}
	}
	if d := m.GetMessageDigest(); d.GetAlgorithm() == commonpb.HashAlgorithm_SHA2_256 && !bytes.Equal(d.GetDigest(), sum) {
		return fmt.Errorf("it is for sha256:%s", hex.EncodeToString(d.GetDigest()))
	}
	return errOtherKey
}
