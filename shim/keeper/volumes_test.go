package keeper_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/hint"
)

const withConf = `group "shop" {
  egress = "none"
  app "web" {
    image = "web:1"
    mount "conf" { path = "/conf" }
  }
  volume "conf" { host_path = "/srv/conf" }
}`

func TestApplyChecksTheHostsFoldersFirst(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.LosePath("/srv/conf")
		lines, err := h.apply("shop.hcl", withConf)
		var p *hint.Error
		if !errors.As(err, &p) || !strings.Contains(err.Error(), "group shop: ") || !strings.Contains(err.Error(), "/srv/conf does not exist") {
			t.Errorf("error %v", err)
		}
		if done := h.host.Operations(); len(lines) > 0 || len(done) > 0 || h.host.String() != "" {
			t.Errorf("something was done: %q %q\n%s", lines, done, h.host)
		}
		h.host.FindPath("/srv/conf")
		h.mustApply("shop.hcl", withConf)
	})
}

func TestPersistentVolumesStayUntilTheyAreDiscarded(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", strings.Replace(withConf, `host_path = "/srv/conf"`, "persistent = true", 1))
		h.remove("shop.hcl")
		if diff := cmp.Diff([]string{"conf"}, h.host.KeptVolumes("shop")); diff != "" || strings.Contains(h.host.String(), "volume") {
			t.Errorf("volumes kept (-want +got):\n%s\n%s", diff, h.host)
		}
		if err := h.host.Volumes().Discard(t.Context(), "shop"); err != nil || len(h.host.KeptVolumes("shop")) > 0 {
			t.Errorf("volumes kept: %q, error %v", h.host.KeptVolumes("shop"), err)
		}
	})
}
