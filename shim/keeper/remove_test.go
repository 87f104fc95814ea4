package keeper_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

func TestRemove(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop, "job.hcl", job)
		var lines []string
		if err := h.keeper.Remove(context.Background(), "shop", func(l string) { lines = append(lines, l) }); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"shop: stop web (app), grace 10s", "shop: stop shipper (sidecar), grace 10s", "shop: stop proxy (ambassador), grace 10s",
			"shop: remove web (app), shipper (sidecar), proxy (ambassador)", "shop: unmount volume logs",
			"shop: disconnect shop, unpin its namespace", "shop: gone",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"job.hcl"}, h.installed()); diff != "" {
			t.Errorf("folder (-want +got):\n%s", diff)
		}
		if err := h.keeper.Remove(context.Background(), "shop", nil); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("a second time: %v", err)
		}
		h.end()
		h.begin()
		if all, err := h.keeper.Status(""); err != nil || len(all) != 1 || all[0].Name != "job" {
			t.Errorf("the next keeper has %+v, error %v", all, err)
		}
	})
}

// A group that a second file defines too comes from that file, once the first is gone.
func TestRemoveOfAGroupInTwoFiles(t *testing.T) {
	for _, tt := range []struct {
		name   string
		remove func(h *harness) error
	}{
		{"the group", func(h *harness) error { return h.keeper.Remove(h.t.Context(), "shop", nil) }},
		{"the group with its volumes", func(h *harness) error { return h.keeper.Purge(h.t.Context(), "shop", nil) }},
		{"the file", func(h *harness) error { return h.keeper.RemoveFile(h.t.Context(), "shop.hcl", false, nil) }},
	} {
		withHarness(t, func(t *testing.T, h *harness) {
			h.mustApply("shop.hcl", shop)
			h.write("twin.hcl", shop)
			err := tt.remove(h)
			if want := "group shop is still there: its file is removed, and file twin.hcl defines it too"; err == nil || err.Error() != want ||
				hint.Of(err) != `"sallyport rm twin.hcl" removes that file with its groups` {
				t.Errorf("%s: error %v, hint %q", tt.name, err, hint.Of(err))
			}
			if h.host.Running("shop") == 0 {
				t.Errorf("%s: it does not run on:\n%s", tt.name, h.host)
			}
			if err := h.keeper.Remove(t.Context(), "shop", nil); err != nil {
				t.Errorf("%s: the second time: %v", tt.name, err)
			}
		})
	}
}

func TestRemoveIsTriedAgain(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.host.FailNext("stop shipper", errBoom)
		if err := h.keeper.Remove(context.Background(), "shop", nil); err == nil || !strings.Contains(err.Error(), "stop shipper (sidecar)") {
			t.Errorf("error %v", err)
		}
		if st := h.status("shop"); st.State != group.Stopping {
			t.Errorf("%s", st.State)
		}
		h.wait(time.Second)
		if strings.TrimSpace(h.host.String()) != "" {
			t.Errorf("still there:\n%s", h.host)
		}
	})
}

func TestRemoveLeavesSharedFilesToTheOperator(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("all.hcl", shop+job)
		err := h.keeper.Remove(context.Background(), "shop", nil)
		var p *hint.Error
		if !errors.As(err, &p) || !strings.Contains(p.Hint, "\"sallyport rm all.hcl\" removes them all; for shop alone, delete its block") {
			t.Errorf("error %v", err)
		}
		h.did()
	})
}

func TestRemoveFileTakesAllItsGroups(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("all.hcl", shop+job, "other.hcl", edited(job, `"job"`, `"other"`))
		h.write("all.hcl", shop+job+"group \"late\" {\n  egress = \"none\"\n  app \"late\" { image = \"late:1\" }\n}\n")
		if err := h.keeper.RemoveFile(t.Context(), "al.hcl", false, nil); err == nil || !strings.Contains(err.Error(), "no group is defined in file al.hcl") {
			t.Errorf("an unknown file: %v", err)
		}
		if err := h.keeper.RemoveFile(t.Context(), "all.hcl", false, nil); err != nil {
			t.Fatal(err)
		}
		var left []string
		all, err := h.keeper.Status("")
		for _, st := range all {
			left = append(left, st.Name)
		}
		if diff := cmp.Diff([]string{"other"}, left); err != nil || diff != "" {
			t.Errorf("groups, error %v (-want +got):\n%s", err, diff)
		}
		if _, err := os.Stat(filepath.Join(h.layout.GroupsDir, "all.hcl")); !os.IsNotExist(err) {
			t.Errorf("the file: %v", err)
		}
	})
}

// A group that was just added to the file by hand is not removed with the other one.
func TestRemoveSparesAGroupJustAdded(t *testing.T) {
	for _, volumes := range []bool{false, true} {
		withHarness(t, func(t *testing.T, h *harness) {
			h.mustApply("shop.hcl", withData)
			if err := os.WriteFile(filepath.Join(h.layout.GroupsDir, "shop.hcl"), []byte(withData+job), 0o600); err != nil {
				t.Fatal(err)
			}
			remove := h.keeper.Remove
			if volumes {
				remove = h.keeper.Purge
			}
			if err := remove(context.Background(), "shop", nil); err == nil || !strings.Contains(err.Error(), "defines group job too") {
				t.Errorf("error %v", err)
			}
			if got := h.text("shop.hcl"); got != withData+job {
				t.Errorf("the file is\n%s", got)
			}
			h.checkKept("shop", true)
		})
	}
}
