package keeper_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// nextKeeper replaces the keeper by another one.
func (h *harness) nextKeeper() {
	h.t.Helper()
	h.end()
	h.begin()
}

// recordsFile returns the file that records how a group's containers have ended.
func (h *harness) recordsFile(group string) string {
	return filepath.Join(h.layout.StateDir, "lives", group+".json")
}

// A container that has ended for good stays ended when containerd forgets its task. This holds for
// the keeper that has observed the end and for the next one.
func TestAnEndForGoodOutlivesItsTask(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(h *harness)
	}{
		{"the same keeper", func(h *harness) { h.wait(time.Minute) }},
		{"another keeper", func(h *harness) { h.nextKeeper() }},
		{"another after the next", func(h *harness) {
			h.nextKeeper()
			h.host.LoseEnded()
			h.nextKeeper()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withTill(t, func(t *testing.T, h *harness) {
				h.host.ExitAtOnce("till", "fetch", 0)
				h.host.ExitAtOnce("till", "migrate", 0)
				h.mustApply("till.hcl", edited(till, `shipper:3"`, `shipper:3"`+"\n    on_failure = \"ignore\"\n    restart { policy = \"never\" }"))
				h.exit("till", "shipper", 4)
				h.host.LoseEnded()
				tt.then(h)
				h.did()
				st := h.status("till")
				if st.State != group.Running || st.Error != "" {
					t.Errorf("%s, error %q", st.State, st.Error)
				}
				for i, status := range map[int]uint32{1: 0, 2: 0, 3: 4} {
					if c := st.Containers[i]; c.Task != host.TaskStopped || c.ExitStatus == nil || *c.ExitStatus != status {
						t.Errorf("%s: %s, %+v", c.Name, c.Task, c)
					}
				}
			})
		})
	}
}

func TestAnEndForGoodCanBeUndone(t *testing.T) {
	inits := []string{"create fetch", "start fetch", "create migrate", "start migrate"}
	for _, tt := range []struct {
		name string
		do   func(h *harness)
		want []string // of the operations on the inits
	}{
		{"after a boot", func(h *harness) {
			h.end()
			h.host.Reboot()
			h.begin()
		}, inits},
		{"stopped and started", func(h *harness) {
			_ = h.keeper.Stop(context.Background(), "till", nil)
			_ = h.keeper.Start(context.Background(), "till", nil)
		}, inits},
		{"restarted", func(h *harness) { _ = h.keeper.Restart(context.Background(), "till", "fetch", nil) }, inits[:2]},
		{"another definition", func(h *harness) {
			_, _ = h.apply("till.hcl", edited(till, "migrate:1", "migrate:2"))
		}, inits[2:]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withTill(t, func(t *testing.T, h *harness) {
				h.mustStartTill()
				h.host.LoseEnded()
				h.nextKeeper()
				tt.do(h)
				h.wait(time.Minute)
				var got []string
				for _, op := range h.host.Operations() {
					if verb, name, _ := strings.Cut(op, " "); (verb == "create" || verb == "start") && (name == "fetch" || name == "migrate") {
						got = append(got, op)
					}
				}
				if diff := cmp.Diff(slices.Sorted(slices.Values(tt.want)), slices.Sorted(slices.Values(got))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if st := h.status("till"); st.State != group.Running {
					t.Errorf("%s, error %q", st.State, st.Error)
				}
			})
		})
	}
}

// REFERENCE says for an init: it should be safe to repeat.
func TestAnUnobservedEndIsNoEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose bool // containerd 2 is restarted before the next keeper starts
		want []string
	}{
		{"containerd still knows it", false, []string{"start migrate"}},
		{"it is not recorded", true, []string{"create fetch", "start fetch"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withTill(t, func(t *testing.T, h *harness) {
				h.write("till.hcl", till)
				h.wait(time.Second)
				h.end()
				h.host.Exit("till", "fetch", 0)
				if tt.lose {
					h.host.LoseEnded()
				}
				h.host.ForgetOperations()
				h.begin()
				h.wait(time.Second)
				h.did(tt.want...)
			})
		})
	}
}

func TestACrashLoopGoesOnUnderTheNextKeeper(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.host.ExitAtOnce("shop", "web", 7)
		h.exit("shop", "web", 7)
		h.wait(time.Second + 2*time.Second + 4*time.Second)
		h.host.ForgetOperations()
		for _, when := range []string{"another keeper", "and containerd has forgotten it"} {
			h.nextKeeper()
			st := h.status("shop")
			if c := st.Containers[2]; c.EndsInARow != 4 || c.Restarts != 3 || *c.ExitStatus != 7 || time.Until(c.NextStart) != 8*time.Second {
				t.Errorf("%s: it starts in %s, %+v", when, time.Until(c.NextStart), c)
			}
			if st.State != group.Degraded || !strings.Contains(st.Error, "web (app) ended with status 7") {
				t.Errorf("%s: %s, error %q", when, st.State, st.Error)
			}
			h.host.LoseEnded()
		}
		h.wait(7 * time.Second)
		h.did()
		h.wait(time.Second)
		h.did("remove web", "create web", "start web")
		if c := h.status("shop").Containers[2]; c.EndsInARow != 5 || c.Restarts != 4 {
			t.Errorf("the end that followed: %+v", c)
		}
		h.host.Stay("shop", "web")
		h.wait(16 * time.Second)
		h.nextKeeper()
		if c := h.status("shop").Containers[2]; c.EndsInARow != 5 || c.Restarts != 5 || c.Task != host.TaskRunning {
			t.Errorf("it runs: %+v", c)
		}
	})
}

// A keeper that is killed between its stop of a container and the removal leaves an end that is not
// the container's own.
func TestAStopIsNoEndForTheNextKeeper(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(c *spec.Container)
	}{
		{"never", hosttest.Policy(spec.RestartNever)},
		{"stop-group", func(c *spec.Container) { c.OnFailure = spec.FailureStopsGroup }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.overrideGroups(hosttest.EditContainer("web", tt.edit))
				h.mustApply("shop.hcl", shop)
				h.host.FailNext("remove web", errBoom)
				if err := h.keeper.Restart(context.Background(), "shop", "web", nil); err == nil {
					t.Fatal("the removal did not fail")
				}
				h.nextKeeper()
				if st := h.status("shop"); st.State != group.Running || h.host.PID("shop", "web") == 0 {
					t.Errorf("%s, error %q:\n%s", st.State, st.Error, h.host)
				}
				h.exit("shop", "web", 143)
				if st := h.status("shop"); st.State == group.Running {
					t.Error("its own end does not count, after the stop that did not")
				}
			})
		})
	}
}

// Its program ends well when it is stopped, so only the saved record has the failure.
func TestAProbesStopIsAFailureForTheNextKeeper(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		var killed atomic.Bool
		h.config = func(c *keeper.Config) {
			c.Prober = h.host.Prober()
			c.Before = func(_ string, s plan.Step) {
				if s.Kind == plan.Stop && killed.CompareAndSwap(false, true) {
					h.host.FailNextDone("stop web", errBoom)
					h.host.FailNext("observe containers", errBoom)
				}
			}
		}
		h.begin()
		h.host.ExitAtOnce("till", "fetch", 0)
		h.host.ExitAtOnce("till", "migrate", 0)
		h.mustApply("till.hcl", edited(till, `web:1"`, `web:1"`+"\n    restart { policy = \"on-failure\" }"))
		h.host.StopWith("till", "web", 0)
		h.host.Answer("till", "web", "live", errRefusing)
		for !killed.Load() {
			h.wait(100 * time.Millisecond)
		}
		h.end()
		h.host.Answer("till", "web", "live", nil)
		h.begin()
		if st := h.status("till"); !strings.Contains(st.Error, "web (app) ended with status 0, stopped because its live probe failed") {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		h.wait(time.Minute)
		if c := h.status("till").Containers[5]; c.Restarts != 1 || h.host.PID("till", "web") == 0 {
			t.Errorf("%+v:\n%s", c, h.host)
		}
	})
}
