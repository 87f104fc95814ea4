package keeper_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/store"
)

// boot boots the host.
func (h *harness) boot() {
	h.t.Helper()
	h.end()
	h.host.Reboot()
	h.begin()
	h.wait(time.Minute)
}

// No keeper observes the ends that a boot causes. They do not count as ends in a row, and they are
// no reason to forget that a run was long.
func TestALongRunEndsARowThoughABootEndsTheRun(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		for range 3 {
			h.exit("shop", "web", 7)
			if c := h.status("shop").Containers[2]; c.EndsInARow != 1 || time.Until(c.NextStart) != time.Second {
				t.Errorf("it starts in %s, %+v", time.Until(c.NextStart), c)
			}
			h.wait(2 * time.Minute)
			if records, _ := store.New(h.layout).Restarts("shop"); records["web"].EndsInARow != 1 {
				t.Errorf("after two minutes: %+v", records["web"])
			}
			h.wait(10 * time.Minute)
			if records, _ := store.New(h.layout).Restarts("shop"); records["web"].EndsInARow != 0 {
				t.Errorf("after twelve: %+v", records["web"])
			}
			h.boot()
		}
	})
}

func TestACrashLoopGoesOnAfterABoot(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.host.ExitAtOnce("shop", "web", 7)
		h.exit("shop", "web", 7)
		h.wait(time.Second)
		if c := h.status("shop").Containers[2]; c.EndsInARow != 2 {
			t.Fatalf("%+v", c)
		}
		h.end()
		h.host.Reboot()
		h.begin()
		if c := h.status("shop").Containers[2]; c.EndsInARow != 3 || time.Until(c.NextStart) != 4*time.Second {
			t.Errorf("it starts in %s, %+v", time.Until(c.NextStart), c)
		}
	})
}

func TestAnOperatorsStartResetsTheCount(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(h *harness) // between the stop and the start
	}{
		{"at once", func(*harness) {}},
		{"after a boot", func(h *harness) { h.boot() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				h.host.ExitAtOnce("shop", "web", 7)
				h.exit("shop", "web", 7)
				h.wait(time.Minute)
				if c := h.status("shop").Containers[2]; c.EndsInARow < 5 {
					t.Fatalf("%+v", c)
				}
				if err := h.keeper.Stop(context.Background(), "shop", nil); err != nil {
					t.Fatal(err)
				}
				tt.then(h)
				h.host.Stay("shop", "web")
				if err := h.keeper.Start(context.Background(), "shop", nil); err != nil {
					t.Fatal(err)
				}
				h.exit("shop", "web", 7)
				if c := h.status("shop").Containers[2]; c.EndsInARow != 1 || time.Until(c.NextStart) != time.Second {
					t.Errorf("it starts in %s, %+v", time.Until(c.NextStart), c)
				}
			})
		})
	}
}

// A container that runs again after a boot was not restarted: no count grows, and no event reports
// a crash.
func TestABootIsNoRestart(t *testing.T) {
	withTill(t, func(t *testing.T, h *harness) {
		h.end()
		journal, err := journal.Open(journal.Config{Layout: h.layout})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = journal.Close() }()
		config := h.config
		h.config = func(c *keeper.Config) {
			config(c)
			c.Journal = journal
		}
		h.begin()
		h.mustStartTill()
		h.exit("till", "web", 1)
		h.wait(time.Minute)
		for range 2 {
			h.boot()
		}
		var restarts []int
		for _, c := range h.status("till").Containers {
			restarts = append(restarts, c.Restarts)
		}
		if diff := cmp.Diff([]int{0, 0, 0, 0, 0, 1}, restarts); diff != "" {
			t.Errorf("restarts (-want +got):\n%s", diff)
		}
		var got []string
		if err := journal.Events(t.Context(), group.EventQuery{}, func(e group.Event) error {
			if e.Kind == group.EventRestarted {
				got = append(got, e.Group+"."+e.Container)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"till.web"}, got); diff != "" {
			t.Errorf("containers with a restarted event (-want +got):\n%s", diff)
		}
	})
}
