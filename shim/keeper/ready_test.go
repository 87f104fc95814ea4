package keeper_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/runner"
)

// A slowRuntime takes an hour of synctest's time for each observation.
type slowRuntime struct{ runner.Runtime }

func (s slowRuntime) Observe(ctx context.Context, group string) ([]host.ContainerState, error) {
	select {
	case <-time.After(time.Hour):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Runtime.Observe(ctx, group)
}

// After Ready, an adopted group is as it was observed. A host that does not answer does not delay
// Ready for long.
func TestReady(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.end()
		h.begin()
		<-h.keeper.Ready()
		groups, err := h.keeper.Status("shop")
		if err != nil || groups[0].State != group.Running {
			t.Errorf("adopted: %+v, %v", groups, err)
		}
		h.end()

		h.config = func(c *keeper.Config) { c.Runtime = slowRuntime{c.Runtime} }
		h.begin()
		synctest.Wait()
		select {
		case <-h.keeper.Ready():
			t.Error("ready before anything was observed")
		default:
		}
		began := time.Now()
		<-h.keeper.Ready()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("a host that doesn't answer keeps the daemon waiting for %v", took)
		}
	})
}
