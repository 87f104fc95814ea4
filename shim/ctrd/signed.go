package ctrd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/registry"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/signed"
	"github.com/sallyport/sallyport/spec"
)

// signersKey distinguishes the pulls of one image by who has to have signed it.
func signersKey(ctx context.Context) string {
	lists := host.SignersOf(ctx)
	if len(lists) == 0 {
		return ""
	}
	text, err := json.Marshal(lists)
	if err != nil {
		panic(fmt.Sprintf("ctrd: encode signers: %v", err)) // they are texts
	}
	sum := sha256.Sum256(text)
	return " " + hex.EncodeToString(sum[:])
}

// signedImage returns what a signature of an image has to be for.
func signedImage(src source, id digest.Digest) (signed.Image, error) {
	image := signed.Image{Digest: id}
	if src.kind != fromRegistry {
		return image, nil
	}
	var err error
	image.Repository, err = signed.RepositoryOf(src.name)
	return image, err
}

// A wantedBy is a list of signers, one of whom has to have signed an image.
type wantedBy struct {
	signers []spec.Signer
	setting string // the prefix of the daemon's setting that demands it; empty: the group file does
}

// String returns the keys and who demands them, for a sentence.
func (w wantedBy) String() string {
	text := keys(w.signers)
	if w.setting != "" {
		text += fmt.Sprintf(", which signed_by %q of the daemon's configuration demands", w.setting)
	}
	return text
}

// SetDemands puts other demands of the host in force. Containers that exist are not touched.
func (c *Client) SetDemands(all signed.Demands) {
	if len(all) == 0 {
		c.demands.Store(nil)
		return
	}
	c.demands.Store(&all)
}

// wanted returns who has to have signed an image: by the lists of a group file, and by the host.
func (c *Client) wanted(lists [][]spec.Signer, image signed.Image) (all []wantedBy) {
	for _, list := range lists {
		if len(list) > 0 {
			all = append(all, wantedBy{signers: list})
		}
	}
	if demands := c.demands.Load(); demands != nil {
		if d := demands.Of(image); len(d.Signers) > 0 {
			all = append(all, wantedBy{d.Signers, d.Prefix})
		}
	}
	return all
}

// checkSigned returns an error unless an image is signed by one of the container's signers, and as
// the host demands, by the proofs on disk. It asks no registry.
func (c *Client) checkSigned(req host.CreateRequest) error {
	if len(req.Container.SignedBy) == 0 && c.demands.Load() == nil {
		return nil
	}
	src, err := parseSource(req.Image.Ref)
	if err != nil {
		return err
	}
	image, err := signedImage(src, digest.Digest(req.Image.Digest))
	if err != nil {
		return err
	}
	wanted := c.wanted([][]spec.Signer{req.Container.SignedBy}, image)
	if len(wanted) == 0 {
		return nil
	}
	proofs, err := c.proofs.Of(image.Digest)
	for _, w := range wanted {
		if _, _, ok := signed.By(w.signers, proofs, image); ok {
			continue
		}
		why := fmt.Errorf("image %s (%s) is not used: this host has no proof that it is signed with the key %s", req.Image.Ref, spec.ShortDigest(req.Image.Digest), w)
		if err != nil {
			why = fmt.Errorf("%w: %w", why, err)
		}
		return &hint.Error{Err: why, Hint: "apply the file again, which looks for the signature and keeps the proof"}
	}
	return nil
}

// keys returns the titles of the signers' keys, for a sentence.
func keys(signers []spec.Signer) string {
	var titles []string
	for _, s := range signers {
		if t := s.Title(); !slices.Contains(titles, t) {
			titles = append(titles, t)
		}
	}
	return strings.Join(titles, " or ")
}

// prove makes sure that an image is signed, as the context and the host have it, and that the proof
// is kept. It looks for the proof on disk, then in the bundles of the signers, then in the image's
// registry. With [spec.PullNever] it asks no registry.
func (c *Client) prove(ctx context.Context, src source, id digest.Digest) error {
	image, err := signedImage(src, id)
	if err != nil {
		return err
	}
	wanted := c.wanted(host.SignersOf(ctx), image)
	if len(wanted) == 0 {
		return nil
	}
	proofs, err := c.proofs.Of(id)
	if err != nil {
		c.log.Warn("proofs of an image's signature are looked for again", "image", src.ref, "error", err)
	}
	var bundles []signed.Proof // of all lists: the file's may prove what the host demands
	for _, w := range wanted {
		bundles = append(bundles, bundlesOf(w.signers)...)
	}
	var unproved []wantedBy
	for _, w := range wanted {
		if _, _, ok := signed.By(w.signers, proofs, image); ok {
			continue
		}
		found, err := c.keepProof(w.signers, bundles, image)
		if err != nil {
			return fmt.Errorf("image %s: %w", src.ref, err)
		}
		if !found {
			unproved = append(unproved, w)
		}
	}
	if len(unproved) == 0 {
		return nil
	}
	if src.kind != fromRegistry {
		return notSigned(src, image, unproved[0], bundles)
	}
	if host.PullOf(ctx) == spec.PullNever {
		return &hint.Error{
			Err:  fmt.Errorf("image %s (%s) has no proof on this host that it is signed with the key %s, and the file has pull = \"never\"", src.ref, spec.ShortDigest(id.String()), unproved[0]),
			Hint: "leave out pull = \"never\" for one apply, or name the signature as a file in the signed_by block: bundle = \"image.sigstore.json\"",
		}
	}
	candidates, failed := c.fetchSignatures(ctx, src, id)
	for _, w := range unproved {
		found, err := c.keepProof(w.signers, candidates, image)
		if err != nil {
			return fmt.Errorf("image %s: %w", src.ref, err)
		}
		if !found && failed != nil {
			return signatureProblem(src, failed)
		}
		if !found {
			return notSigned(src, image, w, append(bundles, candidates...))
		}
	}
	return nil
}

// bundlesOf returns the signatures that the signers' blocks have.
func bundlesOf(signers []spec.Signer) (all []signed.Proof) {
	for _, s := range signers {
		if len(s.Bundle) > 0 {
			all = append(all, signed.Proof{Form: signed.Bundle, Bundle: s.Bundle, From: s.BundleFile})
		}
	}
	return all
}

// keepProof keeps the first of the candidates that proves that one of the signers has signed the
// image. It reports whether there is one.
func (c *Client) keepProof(signers []spec.Signer, candidates []signed.Proof, image signed.Image) (found bool, err error) {
	by, proof, ok := signed.By(signers, candidates, image)
	if !ok {
		return false, nil
	}
	key, err := spec.ParsePublicKey([]byte(by.Key))
	if err != nil {
		return false, err
	}
	proof.Key = key.Fingerprint
	if err := c.proofs.Add(image.Digest, proof); err != nil {
		return false, fmt.Errorf("the proof of its signature can't be kept: %w", err)
	}
	c.log.Info("an image's signature is verified", "image", image.Repository, "digest", image.Digest, "key", by.Title(), "found", proof.From)
	return true, nil
}

// proveMeant finds out which image a name means in its registry now, and makes sure that it is
// signed. With the returned context the name is pulled as that image, though it may mean another.
// Without signers it does nothing.
func (c *Client) proveMeant(ctx context.Context, src source) (context.Context, error) {
	if image, err := signedImage(src, ""); err != nil || len(c.wanted(host.SignersOf(ctx), image)) == 0 {
		return ctx, err
	}
	var meant ocispec.Descriptor
	err := c.asking(ctx, src, func(ctx context.Context, resolver remotes.Resolver) (err error) {
		_, meant, err = resolver.Resolve(ctx, src.name)
		return err
	})
	if err != nil {
		return ctx, pullProblem(src, err)
	}
	return context.WithValue(ctx, meantKey{}, meant), c.prove(ctx, src, meant.Digest)
}

type meantKey struct{}

// A meantResolver resolves each name to the image that is meant.
type meantResolver struct {
	remotes.ResolverWithOptions
	meant ocispec.Descriptor
}

func (r meantResolver) Resolve(_ context.Context, ref string) (string, ocispec.Descriptor, error) {
	return ref, r.meant, nil
}

// asMeant returns a resolver that resolves as [Client.proveMeant] has found.
func asMeant(ctx context.Context, r remotes.ResolverWithOptions) remotes.ResolverWithOptions {
	if meant, ok := ctx.Value(meantKey{}).(ocispec.Descriptor); ok {
		return meantResolver{r, meant}
	}
	return r
}

// notSigned is the error of an image that none of the signers has signed. found are the signatures
// that there are.
func notSigned(src source, image signed.Image, wanted wantedBy, found []signed.Proof) error {
	at := image.Digest.String()
	if src.kind == fromRegistry {
		at = image.Repository + "@" + at
	}
	var reasons []string
	hint_ := "if the image is yours, sign it: cosign sign --key cosign.key " + at + "; if it is another's, ask for its signature or name the key that signed it"
	if src.kind != fromRegistry {
		hint_ = "sign this digest, or name a bundle that is for it; for an image that was copied from a registry: cosign sign --key cosign.key --bundle FILE REPOSITORY@" + at
	}
	for _, p := range found {
		for _, s := range wanted.signers {
			err := p.Verify(s, image)
			if other, ok := errors.AsType[*signed.OtherIdentityError](err); ok && wanted.setting == "" {
				hint_ = fmt.Sprintf("if the image was copied from there, write in its signed_by block: identity = %q", other.Signed)
			}
			if err != nil && !slices.Contains(reasons, err.Error()) {
				reasons = append(reasons, err.Error())
			}
		}
	}
	const most = 4
	if n := len(reasons); n > most {
		reasons = append(reasons[:most], fmt.Sprintf("and %d more", n-most))
	}
	what := "it has no signature in its registry"
	switch {
	case len(found) == 1:
		what = "of its one signature: " + reasons[0]
	case len(found) > 1:
		what = fmt.Sprintf("of its %d signatures: %s", len(found), strings.Join(reasons, "; "))
	}
	return &hint.Error{Err: fmt.Errorf("image %s (%s) is not signed with the key %s: %s", src.ref, at, wanted, what), Hint: hint_}
}

// signatureProblem is the error of a registry that could not be asked for signatures.
func signatureProblem(src source, err error) error {
	text := fmt.Errorf("image %s: its signatures can't be read: %w", src.ref, err)
	if problem, ok := errors.AsType[*hint.Error](err); ok {
		return &hint.Error{Err: text, Hint: problem.Hint}
	}
	return text
}

// asking calls ask with a resolver, as often as is worth it.
func (c *Client) asking(ctx context.Context, src source, ask func(context.Context, remotes.Resolver) error) error {
	ctx, stop, err := c.registries.Within(ctx)
	if err != nil {
		return err
	}
	defer stop()
	var tries registry.Tries
	for {
		err := c.askOnce(ctx, src, ask)
		if err == nil {
			return nil
		}
		waits, again := tries.Again(false, err)
		if !again || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(waits) * c.tryWait):
		case <-ctx.Done():
		}
	}
}

func (c *Client) askOnce(ctx context.Context, src source, ask func(context.Context, remotes.Resolver) error) error {
	ctx, watch := watchStall(ctx, stallTimeout)
	defer watch.stop()
	session := c.registries.Open(ctx, watch.moved).For(src.name)
	defer session.Close()
	err := ask(ctx, session.Resolver())
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	return session.Problem(src.host, err)
}

// dropProofs removes the proofs of an image that was removed. If that fails, they are removed with
// the next image of the digest.
func (c *Client) dropProofs(id digest.Digest) {
	if err := c.proofs.Remove(id); err != nil {
		c.log.Warn("proofs of a removed image's signature stay", "digest", id, "error", err)
	}
}
