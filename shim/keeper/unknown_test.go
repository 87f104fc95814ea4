package keeper_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// An apply goes on while containerd does not know the state of a container for now, and ends with
// that if it goes on.
func TestApplyAwaitsUnknownStates(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.FailNext("observe containers", errBoom)
		lines, err := h.apply("shop.hcl", shop)
		if err != nil {
			t.Errorf("apply: %v", err)
		}
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "looking again") }) {
			t.Errorf("the caller is not told why it waits: %q", lines)
		}
		h.wait(proof)
		for name, call := range map[string]func() error{
			"apply": func() error { _, err := h.apply("shop.hcl", newWeb); return err },
			"start": func() error { return h.keeper.Start(t.Context(), "shop", nil) },
		} {
			failAlways(h, "observe containers", errBoom)
			began := time.Now()
			if err := call(); !errors.Is(err, errBoom) {
				t.Errorf("%s: %v, want %v", name, err, errBoom)
			}
			if took := time.Since(began); took < 15*time.Second || took > time.Minute {
				t.Errorf("%s waited for %s", name, took)
			}
			h.host.ForgetFaults()
			h.wait(time.Minute)
		}
	})
}
