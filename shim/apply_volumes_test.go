package shim_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

const withConf = `group "shop" {
  egress = "none"
  app "web" {
    image = "web:1"
    mount "conf" { path = "/conf" }
  }
  volume "conf" { host_path = "/srv/conf" }
}`

func TestApplyAsksForTheHostsFoldersBeforeAnythingIsDone(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.LosePath("/srv/conf")
		lines, err := d.apply("shop.hcl", withConf)
		var p *shim.Problem
		if !errors.As(err, &p) || !strings.Contains(err.Error(), "group shop: ") || !strings.Contains(err.Error(), "/srv/conf does not exist") {
			t.Errorf("error %v", err)
		}
		if done := d.host.Operations(); len(lines) > 0 || len(done) > 0 || d.host.String() != "" {
			t.Errorf("something was done: %q %q\n%s", lines, done, d.host)
		}
		d.host.FindPath("/srv/conf")
		d.mustApply("shop.hcl", withConf)
	})
}

func TestPersistentVolumesStayUntilTheyAreDiscarded(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", strings.Replace(withConf, `host_path = "/srv/conf"`, "persistent = true", 1))
		d.remove("shop.hcl")
		if diff := cmp.Diff([]string{"conf"}, d.host.Kept("shop")); diff != "" || strings.Contains(d.host.String(), "volume") {
			t.Errorf("kept (-want +got):\n%s\n%s", diff, d.host)
		}
		if err := d.host.Volumes().Discard(t.Context(), "shop"); err != nil || len(d.host.Kept("shop")) > 0 {
			t.Errorf("kept %q, error %v", d.host.Kept("shop"), err)
		}
	})
}
