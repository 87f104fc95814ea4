package keeper_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
)

func TestRunnerStartsAgainWithGrowingWaits(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.host.ExitAtOnce("shop", "web", 1)
		h.exit("shop", "web", 1)
		began := time.Now()
		var waits []time.Duration
		for range 9 {
			st := h.status("shop")
			if st.State != group.Degraded || !strings.Contains(st.Error, "web (app) ended with status 1") || st.Hint == "" {
				t.Fatalf("%s, error %q, hint %q", st.State, st.Error, st.Hint)
			}
			waits = append(waits, time.Until(st.Containers[2].NextStart))
			h.wait(waits[len(waits)-1])
		}
		s := time.Second
		want := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, 60 * s}
		if diff := cmp.Diff(want, waits); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
		if st := h.status("shop").Containers[2]; st.Restarts != 9 || *st.ExitStatus != 1 {
			t.Errorf("after %s: %+v", time.Since(began), st)
		}
		h.did(slices.Repeat([]string{"remove web", "create web", "start web"}, 9)...)
	})
}

func TestRunnerForgetsEndsAfterAStableTime(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.exit("shop", "web", 1)
		h.wait(time.Second)
		h.exit("shop", "web", 1)
		h.wait(2 * time.Second)
		if h.host.Running("shop") != 3 {
			t.Fatalf("the app does not run again:\n%s", h.host)
		}
		h.wait(10 * time.Minute)
		h.exit("shop", "web", 1)
		h.wait(time.Second)
		if h.host.Running("shop") != 3 {
			t.Errorf("the wait after a stable time is longer than the first:\n%s", h.host)
		}
	})
}

func TestRunnerLeavesMembersAloneWhenTheAmbassadorEnds(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		web := h.host.PID("shop", "web")
		h.exit("shop", "proxy", 137)
		h.wait(time.Second)
		h.did("remove proxy", "create proxy", "start proxy")
		if h.host.PID("shop", "web") != web {
			t.Error("the app was touched")
		}
	})
}

func TestRunnerEndsWithTheApps(t *testing.T) {
	for _, tt := range []struct {
		name   string
		text   string
		status uint32
		state  group.State
		err    string
	}{
		{"never, with success", job, 0, group.Completed, ""},
		{"never, with failure", job, 2, group.Completed, "once (app) ended with status 2"},
		{"on-failure, with success", edited(job, "never", "on-failure"), 0, group.Completed, ""},
		{"on-failure, with failure", edited(job, "never", "on-failure"), 2, group.Degraded, "once (app) ended with status 2"},
		{"always", edited(job, "never", "always"), 0, group.Degraded, "once (app) ended with status 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("job.hcl", tt.text)
				h.exit("job", "once", tt.status)
				h.wait(0)
				if st := h.status("job"); st.State != tt.state || st.Error != tt.err {
					t.Errorf("%s, error %q", st.State, st.Error)
				}
				h.wait(time.Hour)
				if again := h.host.Running("job") == 1; again != (tt.state == group.Degraded) {
					t.Errorf("runs again: %v", again)
				}
			})
		})
	}
}

func TestRunnerCompletesInOneApply(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.ExitAtOnce("job", "once", 0)
		lines, err := h.apply("job.hcl", job)
		if err != nil || lines[len(lines)-1] != "job: completed" {
			t.Errorf("error %v, progress %q", err, lines)
		}
	})
}

func TestRunnerTriesAFailedStepAgain(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		for range 3 {
			h.host.FailNext("create web", &hint.Error{Err: errBoom, Hint: "Duck."})
		}
		h.exit("shop", "web", 1)
		h.wait(time.Second)
		// Its own remove and create wake the watcher. This must not make it try again at once.
		h.did("remove web", "create web", "remove web")
		st := h.status("shop")
		if st.State != group.Degraded || st.Error != "create web (app): create web: boom" || st.Hint != "Duck." {
			t.Errorf("%s, error %q, hint %q", st.State, st.Error, st.Hint)
		}
		h.wait(time.Second)
		h.did("create web", "remove web")
		h.wait(2 * time.Second)
		h.did("create web", "remove web")
		h.wait(4 * time.Second)
		h.did("create web", "start web")
		if st := h.status("shop"); st.State != group.Running || st.Error != "" {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
	})
}

// The first step that a keeper tries, and that fails, is tried again after a pause. The wish that
// was there when the runner began does not wake it once more.
func TestRunnerWaitsAfterTheFirstFailure(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.end()
		h.host.ForgetOperations()
		h.host.Flush("shop")
		h.host.FailNext("admit", errBoom)
		h.begin()
		h.wait(100 * time.Millisecond)
		h.did("seal", "admit")
	})
}

func TestRunnerDoesNothingAboutWhatIsUnknown(t *testing.T) {
	for _, what := range []string{"observe containers", "observe network", "observe volumes"} {
		t.Run(what, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				h.host.FailNext(what, errBoom)
				h.wait(30*time.Second - proof + earlyEnd) // the next regular reconciliation
				h.did()
				st := h.status("shop")
				if st.State != group.Running || st.Error == "" {
					t.Errorf("%s, error %q", st.State, st.Error)
				}
				h.wait(time.Second)
				if st := h.status("shop"); st.State != group.Running || st.Error != "" {
					t.Errorf("known again: %s, error %q", st.State, st.Error)
				}
			})
		})
	}
}

func TestRunnerPutsFlushedRulesBack(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.host.Flush("shop")
		h.wait(30 * time.Second)
		h.did("seal", "admit")
	})
}

func TestRunnerReportsThatItDoesNotSettle(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("job.hcl", job)
		h.config = func(c *keeper.Config) { c.Network = forgetfulNetwork{c.Network} }
		h.end()
		h.begin()
		if st := h.status("job"); !strings.Contains(st.Error, "repeated 5 times without lasting effect") || st.State != group.Starting {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
		h.host.ForgetOperations()
		h.wait(time.Second)
		if n := len(h.host.Operations()); n == 0 || n > 10 {
			t.Errorf("%d operations in the second after it gave up", n)
		}
	})
}

// A forgetfulNetwork loses its rules.
type forgetfulNetwork struct{ runner.Network }

func (f forgetfulNetwork) Observe(ctx context.Context, group string, want *spec.Group) host.NetState {
	st := f.Network.Observe(ctx, group, want)
	st.Rules = host.Absent
	return st
}

func TestRunnerResolvesAMissingImageAgain(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.host.FailNext("create web", errBoom) // as when the image was deleted meanwhile
		h.exit("shop", "web", 1)
		h.wait(time.Second)
		h.host.ForgetOperations()
		h.wait(time.Second)
		if !slices.Contains(h.host.Operations(), "image registry.example/web:1") {
			t.Errorf("the image was not asked for: %q", h.host.Operations())
		}
	})
}
