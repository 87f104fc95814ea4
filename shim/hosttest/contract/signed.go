package contract

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// checkSigned checks that a container needs a proof, that the proof comes with the image, and that
// it is one for that signer alone.
func checkSigned(ctx context.Context, f Fixture, group string) error {
	signed := func(name string, by ...spec.Signer) spec.Container {
		return spec.Container{Name: name, Role: spec.App, SignedBy: by}
	}
	t, err := newHarness(ctx, f, group, signed("web", f.Signer), signed("any", f.Stranger, f.Signer), signed("other", f.Stranger))
	if err != nil {
		return err
	}
	defer t.end()
	for _, name := range []string{"web", "any", "other"} {
		if err := t.refused(name); err != nil {
			return fmt.Errorf("without a proof: %w", err)
		}
	}
	if _, err := f.Runtime.Image(host.WithSigners(ctx, [][]spec.Signer{{f.Stranger}}), f.Image); err == nil {
		return errors.New("an image that is not signed by the one who is demanded is made present")
	}
	if err := t.refused("other"); err != nil {
		return fmt.Errorf("after a refused image: %w", err)
	}
	if _, err := f.Runtime.Image(host.WithSigners(ctx, [][]spec.Signer{{f.Stranger, f.Signer}}), f.Image); err != nil {
		return fmt.Errorf("a signed image: %w", err)
	}
	if err := t.refused("other"); err != nil {
		return fmt.Errorf("with the proof of another: %w", err)
	}
	for _, name := range []string{"web", "any"} {
		if err := t.create(name); err != nil {
			return fmt.Errorf("with a proof: %w", err)
		}
	}
	return nil
}
