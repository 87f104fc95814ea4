package host

import (
	"context"

	"github.com/sallyport/sallyport/spec"
)

// An ImageProof has the proof of an image that has to be signed. The zero value is for one that
// needs no signature.
type ImageProof struct {
	SignedBy []string // the keys, by their files and fingerprints
	Missing  string   // why no container is created of it, in one line; empty if all is proved
}

type signersKey struct{}

// WithSigners returns a context whose calls accept an image only if it is signed: by one signer of
// each list at least. No lists accept every image.
func WithSigners(ctx context.Context, lists [][]spec.Signer) context.Context {
	if len(lists) == 0 {
		return ctx
	}
	return context.WithValue(ctx, signersKey{}, lists)
}

// SignersOf returns the lists given to [WithSigners].
func SignersOf(ctx context.Context) [][]spec.Signer {
	lists, _ := ctx.Value(signersKey{}).([][]spec.Signer)
	return lists
}
