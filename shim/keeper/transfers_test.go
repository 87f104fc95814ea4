package keeper_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/runner"
)

// A reportingRuntime reports a pull of each image.
type reportingRuntime struct{ runner.Runtime }

func (r reportingRuntime) Image(ctx context.Context, ref string) (host.Image, error) {
	if report := host.Transfers(ctx); report != nil {
		report(host.Transfer{Image: ref, Stage: host.Pulling, Ended: true})
	}
	return r.Runtime.Image(ctx, ref)
}

// A reportingImages reports a pull of each image that is put back.
type reportingImages struct{ runner.ImageKeeper }

func (r reportingImages) Restore(ctx context.Context, ref, digest string) (host.Image, error) {
	if report := host.Transfers(ctx); report != nil {
		report(host.Transfer{Image: ref, Stage: host.Pulling, Ended: true})
	}
	return r.ImageKeeper.Restore(ctx, ref, digest)
}

// A caller of apply learns of the images that the keeper gets, and one of start of those that the
// group's runner gets.
func TestCallersLearnOfTransfers(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		pulled := make(chan host.Transfer, 100)
		ctx := host.WithTransfers(t.Context(), func(t host.Transfer) { pulled <- t })
		check := func(what string, want map[string]bool, err error) {
			t.Helper()
			got := map[string]bool{}
			for len(pulled) > 0 {
				got[(<-pulled).Image] = true
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s: %v, images (-want +got):\n%s", what, err, diff)
			}
		}
		all := map[string]bool{"registry.example/web:1": true, "registry.example/haproxy:2": true, "registry.example/shipper:3": true}
		h.end()
		h.config = func(c *keeper.Config) { c.Runtime, c.Images = reportingRuntime{c.Runtime}, reportingImages{c.Images} }
		h.begin()
		check("apply", all, h.keeper.Apply(ctx, bundles("shop.hcl", shop), nil))
		if err := h.keeper.Stop(t.Context(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		h.end()
		h.begin()
		check("start", all, h.keeper.Start(ctx, "shop", nil))
	})
}
