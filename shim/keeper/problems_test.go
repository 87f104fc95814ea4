package keeper_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/keeper"
)

// A script can leave thousands of broken files in the folder. Each load names the first ones, and
// the log has each mistake once.
func TestManyBrokenFilesAreCounted(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		var log strings.Builder
		h.end()
		h.config = func(c *keeper.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }
		h.begin()
		h.mustApply("shop.hcl", shop)
		for n := range 200 {
			h.put(fmt.Sprintf("broken%d.hcl", n), "group {")
		}
		err := h.keeper.Load(t.Context())
		if got := len(h.keeper.Problems()); got != 200 {
			t.Errorf("%d problems, want 200", got)
		}
		if err == nil || !strings.Contains(err.Error(), "and 190 more files") || len(err.Error()) > 10_000 {
			t.Errorf("the error of a load: %.12000v", err)
		}
		logged := strings.Count(log.String(), "not used")
		if logged == 0 || logged > 20 {
			t.Errorf("%d lines about them are in the log", logged)
		}
		_ = h.keeper.Load(t.Context())
		if again := strings.Count(log.String(), "not used"); again != logged {
			t.Errorf("another load added %d lines about them", again-logged)
		}
		h.put("broken7.hcl", "group \"x\" {")
		_ = h.keeper.Load(t.Context())
		if again := strings.Count(log.String(), "not used"); again != logged+1 {
			t.Errorf("another mistake added %d lines", again-logged)
		}
	})
}
