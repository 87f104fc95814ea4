package keeper_test

import (
	"context"
	"testing"

	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
)

// An echo reports changes of groups, as if containerd and the kernel did.
type echo struct{ host, network func(group string) }

func (e *echo) Watch(ctx context.Context, changed func(group string)) error {
	e.host = changed
	<-ctx.Done()
	return nil
}

func (e *echo) WatchDrift(ctx context.Context, _ func() []string, changed func(group string)) error {
	e.network = changed
	<-ctx.Done()
	return nil
}

// What the steps of an apply change is heard before the group is read again. It is not read once
// more for that. A change after that is.
func TestOwnChangesAreReadOnce(t *testing.T) {
	reads := func(t *testing.T, heard bool) (ofApply, later uint64) {
		withHarness(t, func(t *testing.T, h *harness) {
			h.end()
			e := &echo{}
			h.config = func(c *keeper.Config) {
				c.Watcher, c.Changes = e, e
				c.Before = func(group string, s plan.Step) {
					if heard && s.Kind == plan.Start {
						e.host(group)
						e.network(group)
					}
				}
			}
			h.begin()
			h.mustApply("shop.hcl", shop)
			ofApply = h.keeper.Counts()["shop"].Reconciliations
			e.network("shop")
			h.wait(0)
			later = h.keeper.Counts()["shop"].Reconciliations - ofApply
		})
		return ofApply, later
	}
	quiet, _ := reads(t, false)
	heard, later := reads(t, true)
	if heard != quiet {
		t.Errorf("%d reconciliations of an apply whose changes are heard, %d of one whose are not", heard, quiet)
	}
	if later != 1 {
		t.Errorf("%d reconciliations after a change by others, want 1", later)
	}
}
