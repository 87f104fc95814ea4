package keeper_test

import (
	"fmt"
	"testing"
	"time"
)

// An image whose digest a generation has recorded is kept for it, also before a container is made
// of it. Its name may mean another image by then, and another keeper knows only the digest.
func TestRecordedImagesAreRetainedBeforeTheirContainers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin func(h *harness)
		end   func(h *harness) error // from here on the containers can be made
	}{
		{"nothing keeps them from being made", func(*harness) {}, func(*harness) error { return nil }},
		{"the group is stopped", func(h *harness) { _, _ = h.stop("shop") }, func(h *harness) error { return h.start("shop") }},
		{"a step fails", func(h *harness) { failAlways(h, "stop web", errBoom) }, func(h *harness) error {
			h.host.ForgetFaults()
			return nil
		}},
		{"what is there is unknown", func(h *harness) { failAlways(h, "observe containers", errBoom) }, func(h *harness) error {
			h.host.ForgetFaults()
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", fmt.Sprintf(withTwo, 1))
				tt.begin(h)
				_, _ = h.apply("shop.hcl", fmt.Sprintf(withTwo, 2))
				h.host.SetImage("web:2", "sha256:other")
				h.end()
				h.begin()
				if err := tt.end(h); err != nil {
					t.Error(err)
				}
				h.wait(time.Hour)
				h.expectImage("web", "sha256:web:2", tt.name)
				expectRetained(t, h, "shop 1: sha256:api:1 sha256:web:1", "shop 2: sha256:api:1 sha256:web:2")
				h.remove("shop.hcl")
				expectRetained(t, h)
			})
		})
	}
}
