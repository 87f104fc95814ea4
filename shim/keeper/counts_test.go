package keeper_test

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/keeper"
)

// What the metrics count: each look, each failure, and each repair, until the group is gone.
func TestCounts(t *testing.T) {
	withJournal(t, func(t *testing.T, h *harness, _ func(...string)) {
		h.mustApply("shop.hcl", shop)
		h.wait(5 * time.Second)
		before := h.keeper.Counts()["shop"]
		if before.Reconciliations == 0 || before.Failures != 0 || before.Repairs != 0 {
			t.Errorf("a group that came up: %+v", before)
		}
		for range 3 {
			h.host.Flush("shop")
			h.wait(5 * time.Second)
		}
		repaired := h.keeper.Counts()["shop"]
		if repaired.Repairs != 3 || repaired.Failures != 0 || repaired.Reconciliations < before.Reconciliations+3 {
			t.Errorf("after three repairs: %+v", repaired)
		}
		h.host.FailNext("admit", errBoom)
		h.host.FailNext("admit", errBoom)
		h.host.Flush("shop")
		h.wait(time.Minute)
		if failed := h.keeper.Counts()["shop"]; failed.Failures != 2 || failed.Repairs != 4 {
			t.Errorf("after a repair that failed twice: %+v", failed)
		}
		if err := h.keeper.Remove(t.Context(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		if n := len(h.keeper.Counts()); n != 0 {
			t.Errorf("%d groups have counts, and none is there", n)
		}
	})
}

// An event that the journal does not take is counted.
func TestLostEvents(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		journal, err := journal.Open(journal.Config{Layout: h.layout})
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		h.config = func(c *keeper.Config) { c.Journal, c.Lost = journal, func(n int) { lost += n } }
		h.begin()
		h.mustApply("shop.hcl", shop)
		synctest.Wait()
		if lost != 0 {
			t.Errorf("%d events are lost, and the journal takes them", lost)
		}
		if err := journal.Close(); err != nil {
			t.Fatal(err)
		}
		if err := h.keeper.Stop(t.Context(), "shop", nil); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Fatal(err)
		}
		synctest.Wait()
		if lost == 0 {
			t.Error("no event is lost, and the journal is closed")
		}
	})
}
