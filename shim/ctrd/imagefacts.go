package ctrd

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/spec"
)

// imageFacts are the properties of an image that containers need. They depend on its digest alone,
// so they are read once.
type imageFacts struct {
	config  ocispec.ImageConfig
	raw     []byte   // the JSON of the configuration, with the fields of docker
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
	cfg, raw, err := c.imageConfig(ctx, image)
	if err != nil {
		return nil, err
	}
	known, _ := c.known.byDigest.LoadOrStore(img.Digest, &imageFacts{
		config: cfg.Config, raw: raw, chainID: identity.ChainID(cfg.RootFS.DiffIDs).String(),
	})
	return known.(*imageFacts), nil
}

// imageConfig reads the configuration (entrypoint, environment, user ...) of an image that is
// present.
func (c *Client) imageConfig(ctx context.Context, img containerd.Image) (cfg ocispec.Image, raw []byte, err error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	desc, err := img.Config(ctx)
	if err == nil {
		err = boundConfig(desc)
	}
	if err == nil {
		raw, err = content.ReadBlob(ctx, c.client.ContentStore(), desc)
	}
	if err == nil {
		err = json.Unmarshal(raw, &cfg)
	}
	if err != nil {
		return cfg, nil, fmt.Errorf("image %s: %w", img.Name(), err)
	}
	return cfg, raw, nil
}

// Healthcheck implements [probes.Images].
func (c *Client) Healthcheck(ctx context.Context, group, container string) (host.Healthcheck, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	record, err := c.client.ContainerService().Get(ctx, spec.ID(group, container))
	if err != nil {
		return host.Healthcheck{}, c.unanswered(err)
	}
	image, err := c.facts(ctx, host.Image{Name: record.Image, Digest: record.Labels[labelImageDigest]})
	if err != nil {
		return host.Healthcheck{}, c.unanswered(err)
	}
	return oci.Healthcheck(image.raw)
}
