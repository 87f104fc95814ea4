package host

import (
	"context"

	"github.com/sallyport/sallyport/spec"
)

type pullKey struct{}

// WithPull returns a context whose calls ask the registry of an image as mode has it.
func WithPull(ctx context.Context, mode spec.Pull) context.Context {
	return context.WithValue(ctx, pullKey{}, mode)
}

// PullOf returns the mode given to [WithPull]. It is [spec.PullMissing] if there is none.
func PullOf(ctx context.Context) spec.Pull {
	mode, _ := ctx.Value(pullKey{}).(spec.Pull)
	return mode
}

// A PulledImage has the image that a name means now, and the one that it meant before on this host.
// The command prints its JSON, too.
type PulledImage struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
	Before string `json:"before,omitempty"` // empty: the host did not have it
	// Groups are those that name the image and use another digest. They go on with that.
	Groups []string `json:"groups,omitempty"`
}
