package keeper_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/spec"
)

// A bound that comes long after the keeper's start is looked at. Without a bound nothing looks.
func TestBoundsAreLookedAtWhileThereAreSome(t *testing.T) {
	withBounds(t, func(t *testing.T, h *harness, b *fakeBounds) {
		look := func(when, text string, bounds int) {
			t.Helper()
			h.mustApply("shop.hcl", text)
			h.wait(time.Hour)
			h.mustApply("shop.hcl", edited(text, `image = "registry.example/web:1"`, `image = "registry.example/web:1" # again`))
			h.wait(look)
			if st := h.status("shop"); len(st.Bounds) != bounds {
				t.Errorf("%s: %+v", when, st.Bounds)
			}
			if got := h.keeper.AnyBounded(); got != (bounds > 0) {
				t.Errorf("%s: looked at: %v", when, got)
			}
		}
		look("from the start", boundedShop, 1)
		look("without one", shop, 0)
		look("with one again", boundedShop, 1)
		b.use(2 << 20)
		h.wait(2 * time.Minute)
		if st := h.status("shop"); st.State != group.Stopped {
			t.Errorf("passed: %s", st.State)
		}
		if !h.keeper.AnyBounded() {
			t.Error("of a group that has ended by one, nothing looks at the next start")
		}
	})
}

// layerBounds is a passed bound of each run's app.
type layerBounds struct{}

func (layerBounds) Look(_ context.Context, want *spec.Group) ([]host.Bound, error) {
	return []host.Bound{{Container: "work", Path: "/work", Size: 1, Used: 2, At: time.Now()}}, nil
}

// The bound of a run is looked at, too.
func TestBoundsOfRuns(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.end()
		before := h.config
		h.config = func(c *keeper.Config) { before(c); c.Bounds = layerBounds{} }
		h.begin()
		h.wait(time.Hour)
		if h.keeper.AnyBounded() {
			t.Error("control: looked at without a bound")
		}
		text := edited(plainReport, `work:1"`, "work:1\"\n resources { disk = \"10MiB\" }\n")
		h.beginRun(runRequest("report-1", edited(text, "{ image", "{\n image")))
		h.wait(2 * time.Minute)
		if r := h.runOf("report-1"); !r.State.Over() {
			t.Errorf("it goes on although it has passed its bound: %+v", r)
		}
	})
}
