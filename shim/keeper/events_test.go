package keeper_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/keeper"
)

// Each generation has one event, independently of what made it.
func TestGenerationsAreRecorded(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		journal, err := journal.Open(journal.Config{Layout: h.layout})
		if err != nil {
			t.Fatal(err)
		}
		defer journal.Close()
		h.config = func(c *keeper.Config) { c.Journal = journal }
		h.begin()
		h.mustApply("shop.hcl", shop)
		h.mustApply("shop.hcl", shop)
		h.write("shop.hcl", version(2))
		if err := h.rollback("shop", 0); err != nil {
			t.Fatal(err)
		}
		h.host.FailNext("create web", errBoom)
		if _, err := h.apply("shop.hcl", version(3)); err == nil {
			t.Fatal("it did not fail")
		}
		h.end()
		h.begin()
		h.remove("shop.hcl")
		h.mustApply("shop.hcl", shop)
		var got []string
		err = journal.Events(t.Context(), group.EventQuery{}, func(e group.Event) error {
			if e.Kind != group.EventState {
				got = append(got, string(e.Kind)+": "+e.Text)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"accepted: generation 1, by apply of shop.hcl",
			"accepted: generation 2, by an edit of shop.hcl",
			"rollback: an earlier generation is put back as generation 3",
			"accepted: generation 4, by apply of shop.hcl",
			"reverted: generation 4 was taken back, the one before it is put in its place as generation 5: create web (app): create web: boom",
			"accepted: generation 1, by apply of shop.hcl",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}
