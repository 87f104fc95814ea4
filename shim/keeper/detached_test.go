package keeper_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
)

// Install returns before the first step is done, and the group comes up.
func TestInstallDoesNotWait(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		h.config = func(c *keeper.Config) {
			c.Before = func(string, plan.Step) { time.Sleep(time.Second) }
		}
		h.begin()
		if err := h.keeper.Install(t.Context(), bundles("shop.hcl", shop), nil); err != nil {
			t.Fatal(err)
		}
		if got := h.host.Running("shop"); got != 0 || len(h.installed()) != 1 {
			t.Errorf("when it returns: %d containers run, installed %v", got, h.installed())
		}
		h.wait(time.Minute)
		if got := h.host.Running("shop"); got != 3 {
			t.Errorf("a minute later: %d containers run, want 3", got)
		}
	})
}

// What Apply refuses before the installation, Install refuses as well.
func TestInstallRefuses(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.LoseImage("registry.example/web:1")
		err := h.keeper.Install(t.Context(), bundles("shop.hcl", shop), nil)
		if err == nil || !strings.Contains(err.Error(), "not found") || len(h.installed()) > 0 {
			t.Errorf("error %v, installed %v", err, h.installed())
		}
	})
}

// A group that can't be built is put back as it was. The events have the reason.
func TestInstallPutsBack(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		events := h.journaled()
		reverted := func() string { return strings.Join(events(group.EventReverted), "\n") }
		failAlways(h, "create web", errBoom)
		if err := h.keeper.Install(t.Context(), bundles("shop.hcl", shop), nil); err != nil {
			t.Fatal(err)
		}
		h.wait(10 * time.Minute)
		if len(h.installed()) > 0 || h.host.Running("shop") > 0 {
			t.Errorf("a new file: installed %v, %d containers run", h.installed(), h.host.Running("shop"))
		}
		if text := reverted(); !strings.Contains(text, "shop.hcl is removed again, as it is new: ") || !strings.Contains(text, errBoom.Error()) {
			t.Errorf("the event of a new file: %q", text)
		}
		h.host.ForgetFaults()
		h.mustApply("shop.hcl", shop)
		failAlways(h, "create web", errBoom)
		if err := h.keeper.Install(t.Context(), bundles("shop.hcl", newWeb), nil); err != nil {
			t.Fatal(err)
		}
		h.wait(time.Second)
		h.host.ForgetFaults()
		h.wait(10 * time.Minute)
		text, err := os.ReadFile(filepath.Join(h.layout.GroupsDir, "shop.hcl"))
		if err != nil || string(text) != shop || h.host.Running("shop") != 3 {
			t.Errorf("a changed file: %v, %d containers run, file:\n%s", err, h.host.Running("shop"), text)
		}
		if text := reverted(); !strings.Contains(text, "was taken back") || !strings.Contains(text, errBoom.Error()) {
			t.Errorf("the event of a changed file: %q", text)
		}
	})
}

// A keeper that ends while an Install is waited for leaves the file.
func TestInstallThatOutlivesTheKeeper(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		failAlways(h, "create web", errInterrupted) // it is tried again, so that nothing is decided before the end
		if err := h.keeper.Install(t.Context(), bundles("shop.hcl", shop), nil); err != nil {
			t.Fatal(err)
		}
		h.end()
		h.host.ForgetFaults()
		h.begin()
		h.wait(time.Minute)
		if len(h.installed()) != 1 || h.host.Running("shop") != 3 {
			t.Errorf("installed %v, %d containers run", h.installed(), h.host.Running("shop"))
		}
	})
}
