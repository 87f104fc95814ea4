package ctrd

import (
	"context"
	"sync"

	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/host"
)

// imageFacts are the properties of an image that containers need. They depend on its digest alone,
// so they are read once.
type imageFacts struct {
	config  ocispec.ImageConfig
	chainID string   // name of the snapshot with its layers
	users   sync.Map // a user's name -> specs.User
}

// knownImages are the facts of each image that a container was made from since the daemon started,
// by digest.
type knownImages struct{ byDigest sync.Map }

// facts returns an image's facts. At the first call for a digest it reads them from containerd.
func (c *Client) facts(ctx context.Context, img host.Image) (*imageFacts, error) {
	if known, ok := c.known.byDigest.Load(img.Digest); ok {
		return known.(*imageFacts), nil
	}
	image, err := c.image(ctx, img)
	if err != nil {
		return nil, err
	}
	cfg, err := c.imageConfig(ctx, image)
	if err != nil {
		return nil, err
	}
	known, _ := c.known.byDigest.LoadOrStore(img.Digest, &imageFacts{
		config: cfg.Config, chainID: identity.ChainID(cfg.RootFS.DiffIDs).String(),
	})
	return known.(*imageFacts), nil
}
