package keeper_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/keeper"
)

// countingShims counts how often shims were looked at. Each look fails.
type countingShims struct{ looks atomic.Int32 }

func (s *countingShims) EndEmptyShims(context.Context) error {
	s.looks.Add(1)
	return errors.New("no answer")
}

// Shims are looked at soon after the start and after groups are gone, once for all of these. While
// nothing ends, that is once an hour.
func TestEmptyShimsAreLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHarness(t), &countingShims{}
		h.config = func(c *keeper.Config) { c.Shims = s }
		h.begin()
		looked := func(when string, want int32) {
			t.Helper()
			if n := s.looks.Swap(0); n != want {
				t.Errorf("%s: %d looks, want %d", when, n, want)
			}
		}
		h.mustApply("shop.hcl", shop)
		h.mustApply("web.hcl", `group "web" {
  egress = "none"
  app "web" { image = "web:1" }
}`)
		h.wait(time.Minute)
		looked("at the start", 0)
		h.wait(5 * time.Minute)
		looked("after it", 1)
		h.wait(30 * time.Minute)
		looked("while groups run", 0)
		h.remove("shop.hcl")
		h.remove("web.hcl")
		h.wait(time.Minute)
		looked("after both are gone", 1)
		h.wait(59 * time.Minute)
		looked("within the hour", 0)
		h.wait(time.Minute)
		looked("after the hour", 1)
		h.end()
	})
}
