package keeper_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/keeper"
)

// withJournal runs a test with a harness whose keepers detect drift and have a journal.
func withJournal(t *testing.T, do func(t *testing.T, h *harness, expectEvents func(want ...string))) {
	t.Helper()
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		journal, err := journal.Open(journal.Config{Layout: h.layout})
		if err != nil {
			t.Fatal(err)
		}
		defer journal.Close()
		h.config = func(c *keeper.Config) { c.Changes, c.Drift, c.Journal = h.host, h.host, journal }
		h.begin()
		seen := 0
		do(t, h, func(want ...string) {
			t.Helper()
			synctest.Wait()
			got := []string{}
			if err := journal.Events(t.Context(), group.EventQuery{}, func(e group.Event) error {
				got = append(got, strings.Trim(e.Group+"."+e.Container, ".")+" "+string(e.Kind)+": "+e.Text)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			fresh := got[seen:]
			seen = len(got)
			if diff := cmp.Diff(append([]string{}, want...), fresh); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	})
}

func TestDriftIsPutBackAtOnce(t *testing.T) {
	const putBack = ": gone or changed by others, put back"
	for _, tt := range []struct {
		name   string
		change func(h *harness)
		did    []string
		events []string
	}{
		{"rules", func(h *harness) { h.host.Flush("shop") }, []string{"seal", "admit"}, []string{
			"shop state: degraded", "shop drift: its namespace" + putBack, "shop state: running",
		}},
		{"link", func(h *harness) { h.host.Unlink("shop") }, []string{"connect"}, []string{
			"shop state: degraded", "shop drift: its link" + putBack, "shop state: running",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withJournal(t, func(t *testing.T, h *harness, expectEvents func(...string)) {
				h.mustApply("shop.hcl", shop)
				h.wait(5 * time.Second)
				expectEvents("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
				h.did()
				tt.change(h)
				h.wait(time.Second)
				h.did(tt.did...)
				expectEvents(tt.events...)
				h.wait(5 * time.Second)
				h.did()
				expectEvents()
			})
		})
	}
}

const withSpool = `group "shop" {
  egress = "none"
  app "web" {
    image = "web:1"
    mount "spool" { path = "/spool" }
  }
  sidecar "ship" {
    image = "ship:1"
    mount "spool" { path = "/spool" }
  }
  sidecar "other" { image = "ship:1" }
  volume "spool" {}
}`

// Containers that hold different volumes of one name would not see each other's files.
func TestVolumesThatOthersHaveUnmounted(t *testing.T) {
	const putBack = ": gone or changed by others, put back"
	for _, tt := range []struct {
		name   string
		change func(h *harness)
		did    []string
		events []string
	}{
		{"a container still has it", func(h *harness) { h.host.Unmount("shop", "spool") }, []string{"mount spool"}, []string{
			"shop drift: volume spool" + putBack,
		}},
		{"no container can give it back", func(h *harness) {
			h.host.LoseUnmounted()
			h.host.Unmount("shop", "spool")
		}, []string{"create ship", "create web", "mount spool", "remove ship", "remove web", "start ship", "start web", "stop ship", "stop web"}, []string{
			"shop drift: volume spool; volume spool under ship (sidecar), which is replaced (what it had in the volume is lost); " +
				"volume spool under web (app), which is replaced (what it had in the volume is lost)" + putBack,
		}},
		{"no container runs", func(h *harness) {
			h.host.Unmount("shop", "spool")
			h.host.Reboot()
		}, []string{"admit", "create other", "create ship", "create web", "mount spool", "seal", "start other", "start ship", "start web"}, []string{
			"shop state: degraded", "shop drift: its namespace; volume spool with what was in it" + putBack, "shop state: running",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withJournal(t, func(t *testing.T, h *harness, expectEvents func(...string)) {
				h.mustApply("shop.hcl", withSpool)
				h.wait(5 * time.Second)
				expectEvents("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
				h.did()
				tt.change(h)
				h.wait(40 * time.Second)                                 // until the host is observed again
				did := slices.Sorted(slices.Values(h.host.Operations())) // some are done at the same time
				if diff := cmp.Diff(tt.did, did); diff != "" {
					t.Errorf("operations (-want +got):\n%s", diff)
				}
				expectEvents(tt.events...)
			})
		})
	}
}

func TestDriftThatCannotBePutBack(t *testing.T) {
	withJournal(t, func(t *testing.T, h *harness, expectEvents func(...string)) {
		h.mustApply("shop.hcl", shop)
		expectEvents("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
		for range 5 {
			h.host.FailNext("admit", errBoom)
		}
		h.host.Flush("shop")
		h.wait(5 * time.Second)
		expectEvents("shop state: degraded",
			"shop drift: its namespace: gone or changed by others, not yet put back: admit: boom")
		h.wait(time.Minute)
		expectEvents("shop drift: its namespace: gone or changed by others, put back", "shop state: running")
	})
}

// Drift that comes back each time is put back each time, and recorded less and less often.
func TestDriftThatGoesOn(t *testing.T) {
	withJournal(t, func(t *testing.T, h *harness, expectEvents func(...string)) {
		h.mustApply("shop.hcl", shop)
		expectEvents("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
		h.did()
		fight := func(times int) {
			for range times {
				h.host.Flush("shop")
				h.wait(2 * time.Second)
			}
		}
		const changed = "shop drift: its namespace: gone or changed by others, put back"
		for range 20 {
			fight(1)
			expectEvents("shop state: degraded", changed, "shop state: running")
			h.did("seal", "admit")
		}
		fight(150)
		if did := h.host.Operations(); len(did) != 300 {
			t.Errorf("%d steps, want 300", len(did))
		}
		var want []string
		for _, times := range []string{"", " 2 times", " 4 times", " 8 times", " 16 times", " 30 times", " 30 times", " 30 times"} {
			want = append(want, "shop state: degraded", changed+times, "shop state: running")
		}
		expectEvents(want...)
		h.host.ForgetOperations()
		h.wait(2 * time.Minute)
		expectEvents(changed + " 29 times")
		fight(1)
		expectEvents("shop state: degraded", changed, "shop state: running")
	})
}

// A group with a step that fails over and over waits longer and longer before the next try. Its
// rules do not wait for that.
func TestDriftIsPutBackWhileARetryWaits(t *testing.T) {
	withJournal(t, func(t *testing.T, h *harness, expectEvents func(...string)) {
		h.mustApply("shop.hcl", shop)
		for range 20 {
			h.host.FailNext("create web", errBoom)
		}
		h.exit("shop", "web", 1)
		h.wait(40 * time.Second)
		h.host.ForgetOperations()
		h.host.Flush("shop")
		h.wait(time.Second)
		if did := h.host.Operations(); len(did) < 2 || did[0] != "seal" || did[1] != "admit" {
			t.Errorf("did %q", did)
		}
	})
}

// A change by an operator or a new daemon is no drift.
func TestNoDrift(t *testing.T) {
	withJournal(t, func(t *testing.T, h *harness, expectEvents func(...string)) {
		h.mustApply("shop.hcl", shop)
		expectEvents("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
		h.mustApply("shop.hcl", edited(shop, "host = 8443", "host = 8444"))
		h.wait(time.Minute)
		expectEvents("shop accepted: generation 2, by apply of shop.hcl", "shop state: degraded", "shop state: running")
		h.end()
		h.begin()
		h.wait(time.Minute)
		expectEvents()
		if err := h.keeper.Remove(context.Background(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		expectEvents("shop state: stopping", "shop state: gone")
	})
}

func TestRestartsAreRecorded(t *testing.T) {
	withJournal(t, func(t *testing.T, h *harness, expectEvents func(...string)) {
		h.mustApply("shop.hcl", shop)
		expectEvents("shop accepted: generation 1, by apply of shop.hcl", "shop state: starting", "shop state: running")
		h.exit("shop", "web", 137)
		h.wait(time.Second)
		expectEvents("shop state: degraded: web (app) ended with status 137 (SIGKILL)", "shop.web restarted: ended with status 137 (SIGKILL), started again", "shop state: running")
		if err := h.keeper.Restart(context.Background(), "shop", "web", nil); err != nil {
			t.Fatal(err)
		}
		h.wait(time.Second)
		expectEvents()
	})
}
