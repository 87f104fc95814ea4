package keeper_test

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const withLimits = `group "shop" {
  egress = "none"
  app "web" { image = "web:1" }
  resources { memory = "512MiB" }
}`

func TestLimitsChangeWithoutARestart(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", withLimits)
		pid := h.host.PID("shop", "web")
		lines, err := h.apply("shop.hcl", strings.Replace(withLimits, "512MiB", "1GiB", 1))
		if err != nil || h.host.PID("shop", "web") != pid || !strings.Contains(strings.Join(lines, "\n"), "shop: limit shop to 1GiB of memory") {
			t.Errorf("error %v, progress %q\n%s", err, lines, h.host)
		}
		h.host.Unlimit("shop")
		h.wait(time.Minute)
		if !strings.Contains(h.host.String(), "limits shop") || h.host.PID("shop", "web") != pid {
			t.Errorf("the limits are not put back:\n%s", h.host)
		}
		h.remove("shop.hcl")
		if h.host.String() != "" {
			t.Errorf("left after rm:\n%s", h.host)
		}
	})
}

func TestLimitsThatCannotBeSetAreNotApplied(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", withLimits)
		before := h.host.String()
		h.host.FailNext("limit", errBoom)
		if _, err := h.apply("shop.hcl", strings.Replace(withLimits, "512MiB", "1GiB", 1)); !errors.Is(err, errBoom) {
			t.Errorf("error %v", err)
		}
		if h.host.String() != before {
			t.Errorf("it is not as it was before:\n%s", h.host)
		}
	})
}
