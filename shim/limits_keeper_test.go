package shim_test

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const withBounds = `group "shop" {
  egress = "none"
  app "web" { image = "web:1" }
  resources { memory = "512MiB" }
}`

func TestBoundsChangeWithoutARestart(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", withBounds)
		pid := d.host.PID("shop", "web")
		lines, err := d.apply("shop.hcl", strings.Replace(withBounds, "512MiB", "1GiB", 1))
		if err != nil || d.host.PID("shop", "web") != pid || !strings.Contains(strings.Join(lines, "\n"), "shop: limit shop to 1GiB of memory") {
			t.Errorf("error %v, progress %q\n%s", err, lines, d.host)
		}
		d.host.Unbound("shop")
		d.wait(time.Minute)
		if !strings.Contains(d.host.String(), "bounds shop") || d.host.PID("shop", "web") != pid {
			t.Errorf("the bounds are not put back:\n%s", d.host)
		}
		d.remove("shop.hcl")
		if d.host.String() != "" {
			t.Errorf("left after rm:\n%s", d.host)
		}
	})
}

func TestBoundsThatCannotBeHadAreNotApplied(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", withBounds)
		before := d.host.String()
		d.host.FailNext("limit", errBoom)
		if _, err := d.apply("shop.hcl", strings.Replace(withBounds, "512MiB", "1GiB", 1)); !errors.Is(err, errBoom) {
			t.Errorf("error %v", err)
		}
		if d.host.String() != before {
			t.Errorf("it is not as it was before:\n%s", d.host)
		}
	})
}
