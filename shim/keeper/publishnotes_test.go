package keeper_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/spec"
)

// A plan has the notes about published ports. Listeners count only if the ambassador runs, long
// enough, and goes on as it is.
func TestPlanNotesPublishedPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.config = func(c *keeper.Config) {
			c.PublishNotes = func(group string, published []spec.Publish, listens bool) []string {
				return []string{fmt.Sprintf("%s: %d published, listeners count: %v", group, len(published), listens)}
			}
		}
		h.begin()
		defer h.end()
		expect := func(when, file string, want ...string) {
			t.Helper()
			previews, err := h.keeper.Preview(t.Context(), bundles("shop.hcl", file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, previews[0].Publish); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		const unknown, known = "shop: 1 published, listeners count: false", "shop: 1 published, listeners count: true"
		port := edited(shop, "8443", "9443")
		expect("nothing runs", shop, unknown)
		expect("no port is published", job)
		h.mustApply("shop.hcl", shop)
		expect("it has just been started", port, unknown)
		h.wait(time.Minute)
		expect("it runs", port, known)
		expect("the ambassador is replaced", edited(port, `haproxy:2"`, `haproxy:2"`+"\n    command = [\"/bin/proxy\"]"), unknown)
		expect("nothing changes", shop)
	})
}
