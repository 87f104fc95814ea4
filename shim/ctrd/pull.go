package ctrd

import (
	"context"
	"errors"
	"fmt"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"

	"github.com/sallyport/sallyport/shim/ctrd/registry"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// stallTimeout ends a try of a pull in which nothing has moved for this long. The whole time of a
// pull has no limit, because links are slow.
const stallTimeout = time.Minute

// pull fetches an image from its registry, as often as is worth it. If it fails, what it has
// fetched is kept for a day, and the next pull of the same image goes on from there.
func (c *Client) pull(ctx context.Context, src source) error {
	ctx, stop, err := c.registries.Within(ctx)
	if err != nil {
		return pullProblem(src, err)
	}
	defer stop()
	ctx, end, err := c.leased(ctx, "sallyport-pull-"+digest.FromString(src.name).Encoded())
	if err != nil {
		return err
	}
	transferOf(ctx).enter(host.Pulling)
	var tries registry.Tries
	for {
		received, err := c.tryPull(ctx, src)
		if err == nil {
			end(false)
			return nil
		}
		waits, again := tries.Again(received, err)
		if !again || ctx.Err() != nil {
			c.endEmpty(ctx, end)
			return pullProblem(src, err)
		}
		c.waitForTry(ctx, src, waits, err)
	}
}

// waitForTry waits before another try. It reports whether ctx has not ended.
func (c *Client) waitForTry(ctx context.Context, src source, waits int, err error) bool {
	wait := time.Duration(waits) * c.tryWait
	c.log.Info("a registry is asked again", "image", src.name, "after", wait, "error", hint.OneLine(err.Error()))
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// tryPull tries once. received reports whether some of a layer came.
func (c *Client) tryPull(ctx context.Context, src source) (received bool, err error) {
	ctx, watch := watchStall(ctx, stallTimeout)
	defer watch.stop()
	session := c.registries.Open(ctx, watch.moved).For(src.name)
	defer session.Close()
	moved := transferOf(ctx)
	_, err = c.client.Pull(ctx, src.name,
		containerd.WithResolver(countingResolver{asMeant(ctx, session.Resolver()), moved}),
		containerd.WithImageHandlerWrapper(func(inner images.Handler) images.Handler {
			return forThisHost(c.client.ContentStore(), moved.counted(inner))
		}),
		containerd.WithPlatformMatcher(platforms.Default()),
		containerd.WithMaxConcurrentDownloads(session.MaxConcurrent()),
		containerd.WithPullLabel(sourceLabel, src.ref),
	)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	if platform, ok := errors.AsType[*otherPlatformError](err); ok {
		err = &hint.Error{Err: fmt.Errorf("%s has %w", src.host, platform), Hint: "name an image for this host's platform"}
	}
	return session.Received(), session.Problem(src.host, err)
}

// endEmpty ends the lease in ctx, unless it holds something that the next pull can use.
func (c *Client) endEmpty(ctx context.Context, end func(drop bool)) {
	ctx, cancel := c.ctx(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	id, _ := leases.FromContext(ctx)
	if held, err := c.client.LeasesService().ListResources(ctx, leases.Lease{ID: id}); err == nil && len(held) == 0 {
		end(false)
	}
}
