package shim

import (
	"context"

	"github.com/sallyport/sallyport/spec"
)

// Holder keeps images on the host whatever becomes of their names, so that a generation can be had again without asking anybody
// for them. Implemented by ctrd.Client; in memory by shimtest.Host.
type Holder interface {
	// Hold keeps an image for a generation of a group, beside what is held for it already. Of the image it goes by Ref and Digest.
	Hold(ctx context.Context, group string, generation int, image Image) error
	// Recall makes the image present that a reference meant when its digest was this, whatever it means by now. It is ErrImageGone
	// where asking once more would not help.
	Recall(ctx context.Context, ref, digest string) (Image, error)
	// Means is the digest of what a reference means on the host now, to [Runtime].Image, fetching and changing nothing; empty: of
	// nothing that is there.
	Means(ctx context.Context, ref string) (digest string, err error)
	// Held lists the generations for which anything is held, by group.
	Held(ctx context.Context) (map[string][]int, error)
	// Release lets go of all that is held for a generation; what nothing else holds or names is the host's to collect. Absent is no
	// error.
	Release(ctx context.Context, group string, generation int) error
}

// A Drift describes what others have changed on the host. Implemented by [HostLookout]; in memory by
// shimtest.Host.
type Drift interface {
	// Amiss returns, in an operator's words, what of the part is not as the group wants it: "the host's
	// rules for it".
	Amiss(part Part, want *spec.Group) []string
}
