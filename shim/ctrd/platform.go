package ctrd

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An otherPlatformError is the error for an image that is for another platform than the host's.
type otherPlatformError struct{ has string }

func (e *otherPlatformError) Error() string {
	return fmt.Sprintf("no image for %s, only for: %s", platforms.Format(platforms.DefaultSpec()), e.has)
}

// forThisHost returns a handler that refuses a manifest that is for another platform, before its
// layers are fetched. containerd picks from an index by what the index has about a manifest, and
// takes a manifest without such words as it is. So does what an index has count here.
func forThisHost(store content.Provider, inner images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		children, err := inner.Handle(ctx, d)
		if err != nil || !images.IsManifestType(d.MediaType) || d.Platform != nil {
			return children, err
		}
		for _, child := range children {
			if !images.IsConfigType(child.MediaType) {
				continue
			}
			if err := boundConfig(child); err != nil {
				return nil, err
			}
			if _, err := inner.Handle(ctx, child); err != nil {
				return nil, err
			}
			has, err := images.ConfigPlatform(ctx, store, child)
			if err != nil {
				return nil, err
			}
			if has.Architecture != "" && !platforms.Default().Match(has) { // some tools leave it out
				return nil, &otherPlatformError{platforms.Format(has)}
			}
		}
		return children, nil
	})
}
