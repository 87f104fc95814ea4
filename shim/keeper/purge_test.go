package keeper_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
)

var withData = strings.Replace(withConf, `host_path = "/srv/conf"`, "persistent = true", 1)

func (h *harness) purge(group string) ([]string, error) {
	var lines []string
	err := h.keeper.Purge(context.Background(), group, func(l string) { lines = append(lines, l) })
	return lines, err
}

// checkKept checks that the group's persistent volumes are there, or gone.
func (h *harness) checkKept(group string, want bool) {
	h.t.Helper()
	if got := len(h.host.KeptVolumes(group)) > 0; got != want {
		h.t.Errorf("volumes kept: %v, want %v", got, want)
	}
}

func TestPurgeDeletesTheVolumesWhenAllIsDown(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", withData)
		lines, err := h.purge("shop")
		if err != nil {
			t.Fatal(err)
		}
		if n := len(lines); n < 2 || lines[n-2] != "shop: delete its persistent volumes" || lines[n-1] != "shop: gone" {
			t.Errorf("progress %q", lines)
		}
		h.checkKept("shop", false)
		if _, err := h.purge("shop"); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("once more: %v", err)
		}
	})
}

func TestVolumesOutliveAllElse(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", withData)
		if _, err := h.stop("shop"); err != nil {
			t.Fatal(err)
		}
		h.checkKept("shop", true)
		if err := h.keeper.Remove(context.Background(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		h.checkKept("shop", true)
		// The files on the disk show that there is something to delete.
		if err := os.MkdirAll(filepath.Dir(h.layout.PersistentPath("shop", "conf")), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := h.purge("shop"); err != nil {
			t.Error(err)
		}
		h.checkKept("shop", false)
	})
}

func TestPurgeIsFinishedAfterFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(h *harness)
	}{
		{"a failure", func(h *harness) {
			h.host.FailNext("discard shop", errBoom)
			if _, err := h.purge("shop"); err == nil || !strings.Contains(err.Error(), "boom") {
				h.t.Errorf("error %v", err)
			}
			h.wait(time.Minute)
		}},
		{"a daemon that is killed", func(h *harness) {
			h.end()
			h.config = func(c *keeper.Config) {
				c.Trace = func(string, plan.Step, time.Duration) { time.Sleep(time.Second) }
			}
			h.begin()
			ctx, cancel := context.WithCancel(context.Background())
			if err := h.keeper.Purge(ctx, "shop", func(string) { cancel() }); !errors.Is(err, context.Canceled) {
				h.t.Errorf("error %v", err)
			}
			h.end()
			h.begin()
			h.wait(time.Minute)
		}},
		{"a removal that was under way", func(h *harness) {
			h.host.FailNext("stop web", errBoom)
			if err := h.keeper.Remove(context.Background(), "shop", nil); err == nil {
				h.t.Error("no error")
			}
			if _, err := h.purge("shop"); err != nil {
				h.t.Error(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", withData)
				tt.do(h)
				h.checkKept("shop", false)
				if _, err := h.keeper.Status("shop"); !errors.Is(err, group.ErrNoGroup) {
					t.Errorf("the group is still there: %v", err)
				}
			})
		})
	}
}

// A group that is applied again before it is gone keeps what a plain removal keeps.
func TestApplyEndsAPurgeThatHasNotBegunToDelete(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", withData)
		h.host.FailNext("stop web", errBoom)
		if _, err := h.purge("shop"); err == nil {
			t.Error("no error")
		}
		h.mustApply("shop.hcl", withData)
		h.wait(time.Hour)
		h.checkKept("shop", true)
		if st := h.status("shop"); st.State != group.Running {
			t.Errorf("%s: %s", st.State, st.Error)
		}
	})
}
