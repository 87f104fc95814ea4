package keeper_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
)

// A container whose attempts are spent stays down: over a restart of the daemon, but not over a
// boot, and not if an operator asks for a restart. One event has the reason.
func TestAttemptsAreSpent(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		events := h.journaled()
		h.mustApply("shop.hcl", edited(shop, `web:1"`, `web:1"`+"\n    restart { attempts = 2 }"))
		crash := func() {
			h.host.ExitAtOnce("shop", "web", 7)
			h.exit("shop", "web", 7)
			h.wait(time.Minute)
			h.host.Stay("shop", "web")
		}
		down := func(when string, want bool) {
			t.Helper()
			st := h.status("shop")
			c := st.Containers[2]
			if (c.StaysDown != "") != want || strings.Contains(st.Hint, `stays down until "sallyport restart shop.web"`) != want {
				t.Errorf("%s: %s, %q, hint %q", when, st.State, c.StaysDown, st.Hint)
			}
		}
		crash()
		down("spent", true)
		h.wait(time.Hour)
		down("an hour later", true)
		h.end()
		h.begin()
		h.wait(time.Hour)
		down("under the next keeper", true)
		if err := h.keeper.Restart(context.Background(), "shop", "web", nil); err != nil {
			t.Fatal(err)
		}
		down("started by an operator", false)
		crash()
		h.boot()
		down("after a boot", false)
		var got []string
		for _, text := range events(group.EventState) {
			if strings.Contains(text, "3 times") {
				got = append(got, text)
			}
		}
		const event = "state: degraded: web (app) ended 3 times, the last time with status 7"
		if diff := cmp.Diff([]string{event, event}, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}
