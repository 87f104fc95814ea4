package ctrd

import (
	"context"
	"strings"

	"github.com/containerd/platforms"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/registry"
	"github.com/sallyport/sallyport/shim/hint"
)

// CurrentDigest returns the digest of the image that a reference means now: at its registry, or in
// its archive. That of a registry's image for several platforms is the digest of its index. That of
// an archive is of the image for the host's platform, or of its only one. It makes nothing present.
func (c *Client) CurrentDigest(ctx context.Context, ref string) (digest string, err error) {
	src, err := parseSource(ref)
	if err != nil {
		return "", err
	}
	if src.kind == fromRegistry {
		if _, digest, pinned := strings.Cut(src.name, "@"); pinned {
			return digest, nil
		}
		return c.askDigest(ctx, src)
	}
	at, err := archive.Locate(ctx, src.kind, src.path)
	if err != nil {
		return "", err
	}
	a, err := archive.Open(ctx, at, c.cfg.Layout.StateDir)
	if err != nil {
		return "", err
	}
	defer a.Close()
	chosen, err := archived(ctx, a, src.kind, platforms.Default())
	if err != nil {
		if only, failed := archived(ctx, a, src.kind, platforms.All); failed == nil {
			chosen, err = only, nil // a lock file may be made on another machine
		}
	}
	if err != nil {
		return "", hint.Bound(err)
	}
	return chosen.Manifest.Digest.String(), nil
}

// askDigest asks the registry of an image for its digest, with its logins and mirrors.
func (c *Client) askDigest(ctx context.Context, src source) (digest string, err error) {
	ctx, stop, err := c.registries.Within(ctx)
	if err != nil {
		return "", pullProblem(src, err)
	}
	defer stop()
	var tries registry.Tries
	for {
		digest, err := c.tryDigest(ctx, src)
		if err == nil {
			return digest, nil
		}
		waits, again := tries.Again(false, err)
		if !again || !c.waitForTry(ctx, src, waits, err) {
			return "", pullProblem(src, err)
		}
	}
}

func (c *Client) tryDigest(ctx context.Context, src source) (string, error) {
	ctx, watch := watchStall(ctx, stallTimeout)
	defer watch.stop()
	session := c.registries.Open(ctx, watch.moved).For(src.name)
	defer session.Close()
	_, desc, err := session.Resolver().Resolve(ctx, src.name)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	return desc.Digest.String(), session.Problem(src.host, err)
}
