package ctrd

import (
	"context"
	"errors"
	"net/http"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"

	"github.com/sallyport/sallyport/shim/host"
)

const (
	// stallTimeout ends a pull in which nothing has moved for this long. The whole time of a pull
	// has no limit, because links are slow.
	stallTimeout = time.Minute
	// downloads is the number of layers fetched at once.
	downloads = 3
)

// errStalled is the cause of the end of a pull whose registry sends nothing any more.
var errStalled = errors.New("no data")

// pull fetches an image from its registry. If it fails, what it has fetched is kept for a day, and
// the next pull of the same image goes on from there.
func (c *Client) pull(ctx context.Context, src source) error {
	ctx, end, err := c.leased(ctx, "sallyport-pull-"+digest.FromString(src.name).Encoded())
	if err != nil {
		return err
	}
	ctx, watch := watchStall(ctx, stallTimeout)
	defer watch.stop()
	transport := docker.DefaultHTTPTransport(nil)
	defer transport.CloseIdleConnections()
	moved := transferOf(ctx)
	moved.enter(host.Pulling)
	_, err = c.client.Pull(ctx, src.name,
		containerd.WithResolver(countingResolver{resolver(&countingTransport{next: transport, moved: watch.moved}), moved}),
		containerd.WithImageHandlerWrapper(func(inner images.Handler) images.Handler {
			return forThisHost(c.client.ContentStore(), moved.counted(inner))
		}),
		containerd.WithPlatformMatcher(platforms.Default()),
		containerd.WithMaxConcurrentDownloads(downloads),
		containerd.WithPullLabel(sourceLabel, src.ref),
	)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		c.endEmpty(ctx, end)
		return pullProblem(src, err)
	}
	end(false)
	return nil
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

// resolver speaks TLS to every registry. To a registry on loopback that doesn't speak TLS it speaks
// plain HTTP.
func resolver(transport http.RoundTripper) remotes.ResolverWithOptions {
	hosts := func(host string) ([]docker.RegistryHost, error) {
		local, err := docker.MatchLocalhost(host)
		if err != nil {
			return nil, err
		}
		client := &http.Client{Transport: transport}
		if local {
			client.Transport = docker.NewHTTPFallback(transport)
		}
		return docker.ConfigureDefaultRegistries(
			docker.WithClient(client),
			docker.WithAuthorizer(docker.NewDockerAuthorizer(docker.WithAuthClient(client))),
		)(host)
	}
	return docker.NewResolver(docker.ResolverOptions{Hosts: hosts}).(remotes.ResolverWithOptions) // containerd holds it to that
}
