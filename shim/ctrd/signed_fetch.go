package ctrd

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/signed"
)

const (
	// maxSignatures limits how many signatures of each form are read of one image.
	maxSignatures = 64
	// maxSignatureBlob limits each manifest, payload and bundle, in bytes.
	maxSignatureBlob = 1 << 20

	simpleLayer     = "application/vnd.dev.cosign.simplesigning.v1+json"
	simpleSignature = "dev.cosignproject.cosign/signature" // annotation of a layer
	simpleKeyless   = "dev.sigstore.cosign/certificate"    // annotation of a layer that was signed without a key
	bundleArtifact  = "application/vnd.dev.sigstore.bundle"
	bundlePredicate = "dev.sigstore.bundle.predicateType" // annotation of a referrer
	cosignPredicate = "https://sigstore.dev/cosign/sign/v1"
)

// fetchSignatures returns the signatures that the registry of an image has for it, in both forms.
// Beside an error it returns those that it has found nevertheless.
func (c *Client) fetchSignatures(ctx context.Context, src source, id digest.Digest) (all []signed.Proof, err error) {
	name, err := nameBySum(src.name, id)
	if err != nil {
		return nil, err
	}
	for _, fetch := range []func(context.Context, remotes.Resolver, string, digest.Digest) ([]signed.Proof, error){simpleSignatures, bundleSignatures} {
		var found []signed.Proof
		failed := c.asking(ctx, src, func(ctx context.Context, r remotes.Resolver) (err error) {
			found, err = fetch(ctx, r, name, id)
			return err
		})
		all, err = append(all, found...), cmp.Or(err, failed)
	}
	return all, err
}

// simpleSignatures returns the signatures at the tag that cosign gives them: sha256-<digest>.sig.
func simpleSignatures(ctx context.Context, r remotes.Resolver, name string, id digest.Digest) (all []signed.Proof, err error) {
	tag, err := tagBeside(name, signatureTag(id))
	if err != nil {
		return nil, err
	}
	_, desc, err := r.Resolve(ctx, tag)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	fetcher, err := r.Fetcher(ctx, tag)
	if err != nil {
		return nil, err
	}
	m, err := fetchManifest(ctx, fetcher, desc)
	if err != nil {
		return nil, err
	}
	for _, layer := range m.Layers {
		if layer.MediaType != simpleLayer || len(all) == maxSignatures {
			continue
		}
		sig, err := base64.StdEncoding.DecodeString(layer.Annotations[simpleSignature])
		if err != nil {
			sig = nil // it verifies with no key, and counts as a signature that was found
		}
		payload, err := fetchBlob(ctx, fetcher, layer)
		if err != nil {
			return all, err
		}
		all = append(all, signed.Proof{Form: signed.Simple, Payload: payload, Signature: sig, From: tag, Keyless: layer.Annotations[simpleKeyless] != ""})
	}
	return all, nil
}

// signatureTag is the tag of the signatures of an image.
func signatureTag(id digest.Digest) string {
	return id.Algorithm().String() + "-" + id.Encoded() + ".sig"
}

// tagBeside returns another tag of an image's repository.
func tagBeside(name, tag string) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", err
	}
	tagged, err := reference.WithTag(reference.TrimNamed(named), tag)
	if err != nil {
		return "", err
	}
	return tagged.String(), nil
}

// bundleSignatures returns the sigstore bundles that refer to an image. A registry without the API
// for referrers has their list at the tag sha256-<digest>, where containerd looks by itself.
func bundleSignatures(ctx context.Context, r remotes.Resolver, name string, id digest.Digest) (all []signed.Proof, err error) {
	fetcher, err := r.Fetcher(ctx, name)
	if err != nil {
		return nil, err
	}
	lister, ok := fetcher.(remotes.ReferrersFetcher)
	if !ok {
		return nil, fmt.Errorf("containerd's client lists no referrers")
	}
	referrers, err := lister.FetchReferrers(ctx, id)
	if err != nil {
		return nil, err
	}
	referrers = slices.DeleteFunc(referrers, func(d ocispec.Descriptor) bool {
		return !strings.HasPrefix(d.ArtifactType, bundleArtifact)
	})
	slices.SortStableFunc(referrers, func(a, b ocispec.Descriptor) int { return rankReferrer(a) - rankReferrer(b) })
	for _, referrer := range referrers[:min(len(referrers), maxSignatures)] {
		m, err := fetchManifest(ctx, fetcher, referrer)
		if err != nil {
			return all, err
		}
		for _, layer := range m.Layers[:min(len(m.Layers), 1)] {
			bundle, err := fetchBlob(ctx, fetcher, layer)
			if err != nil {
				return all, err
			}
			all = append(all, signed.Proof{Form: signed.Bundle, Bundle: bundle, From: name + ", " + referrer.Digest.String()})
		}
	}
	return all, nil
}

// rankReferrer orders what is said to be a signature before other statements.
func rankReferrer(d ocispec.Descriptor) int {
	if d.Annotations[bundlePredicate] == cosignPredicate {
		return 0
	}
	return 1
}

func fetchManifest(ctx context.Context, f remotes.Fetcher, d ocispec.Descriptor) (m ocispec.Manifest, err error) {
	text, err := fetchBlob(ctx, f, d)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%s is no manifest: %w", d.Digest, err)
	}
	return m, nil
}

// fetchBlob returns the bytes that have the descriptor's digest.
func fetchBlob(ctx context.Context, f remotes.Fetcher, d ocispec.Descriptor) ([]byte, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, err
	}
	if d.Size > maxSignatureBlob {
		return nil, fmt.Errorf("%s has %d bytes, and a signature has %d at most", d.Digest, d.Size, maxSignatureBlob)
	}
	r, err := f.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	text, err := io.ReadAll(io.LimitReader(r, maxSignatureBlob+1))
	if err != nil {
		return nil, err
	}
	if d.Digest.Algorithm().FromBytes(text) != d.Digest {
		return nil, fmt.Errorf("what came for %s has another digest", d.Digest)
	}
	return text, nil
}
