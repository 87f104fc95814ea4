package shim_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim"
)

// A slow runtime takes an hour, of synctest's, for each look.
type slow struct{ shim.Runtime }

func (s slow) Observe(ctx context.Context, group string) ([]shim.ContainerState, error) {
	select {
	case <-time.After(time.Hour):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Runtime.Observe(ctx, group)
}

// TestReady: whoever waits for Ready finds an adopted group as it is, and a host that doesn't answer keeps nobody waiting.
func TestReady(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", shop)
		d.end()
		d.begin()
		<-d.keeper.Ready()
		groups, err := d.keeper.Status("shop")
		if err != nil || groups[0].State != shim.Running {
			t.Errorf("adopted: %+v, %v", groups, err)
		}
		d.end()

		d.config = func(c *shim.Config) { c.Runtime = slow{c.Runtime} }
		d.begin()
		synctest.Wait()
		select {
		case <-d.keeper.Ready():
			t.Error("ready before anything was seen")
		default:
		}
		began := time.Now()
		<-d.keeper.Ready()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("a host that doesn't answer keeps the daemon waiting for %v", took)
		}
	})
}
