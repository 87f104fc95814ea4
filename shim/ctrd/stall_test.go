package ctrd

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/ctrd/registry"
)

func TestStallWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, w := watchStall(t.Context(), time.Minute)
		defer w.stop()
		for range 10 {
			time.Sleep(50 * time.Second)
			w.moved()
		}
		if err := ctx.Err(); err != nil {
			t.Fatalf("stalled while moving: %v", err)
		}
		time.Sleep(61 * time.Second)
		if err := context.Cause(ctx); !errors.Is(err, registry.ErrStalled) {
			t.Errorf("cause %v", err)
		}
	})
}
