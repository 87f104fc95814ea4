package ctrd

import (
	"context"
	"fmt"

	containerd "github.com/containerd/containerd/v2/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim"
)

// images is what a Client remembers of images between calls.
type images struct{}

// image returns containerd's image of what Image returned, for the host's platform.
func (c *Client) image(ctx context.Context, img shim.Image) (containerd.Image, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	i, err := c.client.GetImage(ctx, img.Name)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", img.Name, err)
	}
	return i, nil
}

// imageConfig reads the configuration (entrypoint, environment, user ...) of an image that is present.
func (c *Client) imageConfig(ctx context.Context, img containerd.Image) (ocispec.Image, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	cfg, err := img.Spec(ctx)
	if err != nil {
		return ocispec.Image{}, fmt.Errorf("image %s: %w", img.Name(), err)
	}
	return cfg, nil
}
