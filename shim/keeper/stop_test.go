package keeper_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
)

func (h *harness) stop(group string) ([]string, error) {
	var lines []string
	err := h.keeper.Stop(context.Background(), group, func(l string) { lines = append(lines, l) })
	return lines, err
}

func (h *harness) start(group string) error { return h.keeper.Start(context.Background(), group, nil) }

// checkStopped checks that nothing of the group is on the host, and that the group is still known.
func (h *harness) checkStopped(name string) {
	h.t.Helper()
	if strings.Contains(h.host.String(), name) {
		h.t.Errorf("something is left:\n%s", h.host)
	}
	if st := h.status(name); st.State != group.Stopped || st.Error != "" || st.File == "" {
		h.t.Errorf("%s, file %q, error %q", st.State, st.File, st.Error)
	}
}

func TestStopTakesAllDownAndStartBringsItBack(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		before := h.host.String()
		lines, err := h.stop("shop")
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"shop: stop web (app), grace 10s",
			"shop: stop shipper (sidecar), grace 10s",
			"shop: stop proxy (ambassador), grace 10s",
			"shop: remove web (app), shipper (sidecar), proxy (ambassador)",
			"shop: unmount volume logs",
			"shop: disconnect shop, unpin its namespace",
			"shop: stopped",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
		h.checkStopped("shop")
		h.host.ForgetOperations()
		if lines, err := h.stop("shop"); err != nil || len(lines) != 1 {
			t.Errorf("a second stop: %q, %v", lines, err)
		}
		h.did()
		if err := h.start("shop"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Errorf("the host (-before +after):\n%s", diff)
		}
		h.host.ForgetOperations()
		if err := h.start("shop"); err != nil {
			t.Error(err)
		}
		h.did()
		if st := h.status("shop"); st.State != group.Running || st.Generation != 1 {
			t.Errorf("%s, generation %d", st.State, st.Generation)
		}
	})
}

func TestStoppedStaysStopped(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(h *harness)
	}{
		{"for hours", func(h *harness) { h.wait(24 * time.Hour) }},
		{"with another daemon", func(h *harness) { h.end(); h.begin() }},
		{"after a boot", func(h *harness) { h.end(); h.host.Reboot(); h.begin() }},
		{"with another definition applied", func(h *harness) { h.mustApply("shop.hcl", newWeb) }},
		{"with another definition in the folder", func(h *harness) { h.write("shop.hcl", newWeb) }},
		{"when its file is broken", func(h *harness) { h.write("shop.hcl", "group {"); h.write("shop.hcl", shop) }},
		{"when it is restarted", func(h *harness) {
			err := h.keeper.Restart(context.Background(), "shop", "", nil)
			if p, ok := errors.AsType[*hint.Error](err); !ok || p.Hint != "sallyport start shop" {
				h.t.Errorf("restart: %v", err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				if _, err := h.stop("shop"); err != nil {
					t.Fatal(err)
				}
				tt.do(h)
				h.checkStopped("shop")
				if err := h.start("shop"); err != nil || h.host.Running("shop") != 3 {
					t.Errorf("start: %v\n%s", err, h.host)
				}
			})
		})
	}
}

// If a daemon is killed while it stops a group, the next one goes on.
func TestStopIsFinishedByTheNextDaemon(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		ctx, cancel := context.WithCancel(context.Background())
		h.end()
		h.config = func(c *keeper.Config) { // each step takes so long that the daemon ends first
			c.Trace = func(string, plan.Step, time.Duration) { time.Sleep(time.Second) }
		}
		h.begin()
		err := h.keeper.Stop(ctx, "shop", func(string) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		h.end()
		h.begin()
		h.wait(time.Minute)
		h.checkStopped("shop")
	})
}

func TestStopWhereThereIsNothingToStop(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		if _, err := h.stop("shop"); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("stop: %v", err)
		}
		if err := h.start("shop"); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("start: %v", err)
		}
	})
}

// A group that was stopped, removed and applied again is another group, and runs.
func TestRemovingForgetsThatItWasStopped(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		if _, err := h.stop("shop"); err != nil {
			t.Fatal(err)
		}
		if err := h.keeper.Remove(context.Background(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		h.mustApply("shop.hcl", shop)
		if h.host.Running("shop") != 3 {
			t.Errorf("it does not run:\n%s", h.host)
		}
	})
}

// A start fails if another call undoes it, even though that call succeeds.
func TestStartThatIsUndoneMeanwhileFails(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		undo       func(h *harness) error
	}{
		{"by stop", "was stopped meanwhile", func(h *harness) error { return h.keeper.Stop(context.Background(), "till", nil) }},
		{"by rm", "was removed meanwhile", func(h *harness) error { return h.keeper.Remove(context.Background(), "till", nil) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withTill(t, func(t *testing.T, h *harness) {
				h.mustStartTill()
				if _, err := h.stop("till"); err != nil {
					t.Fatal(err)
				}
				h.host.Answer("till", "proxy", "ready", errRefusing)
				var err error
				done := false
				go func() { err, done = h.start("till"), true }()
				h.wait(5 * time.Second)
				if done {
					t.Fatalf("start has ended: %v", err)
				}
				if err := tt.undo(h); err != nil {
					t.Fatal(err)
				}
				h.wait(time.Second)
				if !done || err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("done: %v, start returned %v", done, err)
				}
			})
		})
	}
}

// A change that is recorded and fails for now has an error that reports what counts. The group
// becomes so without another command.
func TestFailingChangesCount(t *testing.T) {
	for _, tt := range []struct {
		name, operation, want string
		prepare, do           func(h *harness) error
		gone                  bool // from the host, in the end
	}{
		{"start", "create web", "group shop stays started: create web (app): create web: boom",
			func(h *harness) error { _, err := h.stop("shop"); return err },
			func(h *harness) error { return h.start("shop") }, false},
		{"restart", "create web", "group shop goes on restarting: create web (app): create web: boom", nil,
			func(h *harness) error { return h.keeper.Restart(context.Background(), "shop", "", nil) }, false},
		{"stop", "stop web", "group shop stays stopped: stop web (app): stop web: boom", nil,
			func(h *harness) error { _, err := h.stop("shop"); return err }, true},
		{"rm", "stop web", "group shop stays removed: stop web (app): stop web: boom", nil,
			func(h *harness) error { return h.keeper.RemoveFile(context.Background(), "shop.hcl", false, nil) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				running := h.host.String()
				if tt.prepare != nil {
					if err := tt.prepare(h); err != nil {
						t.Fatal(err)
					}
				}
				h.host.FailNext(tt.operation, errBoom)
				if err := tt.do(h); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("%v, want %q", err, tt.want)
				}
				time.Sleep(time.Minute)
				if left := h.host.String(); (left == running) == tt.gone || strings.Contains(left, "shop") == tt.gone {
					t.Errorf("after a minute:\n%s", left)
				}
			})
		})
	}
}
