package keeper_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
)

// failAlways lets an operation fail as often as a test can need.
func failAlways(h *harness, operation string, err error) {
	for range 500 {
		h.host.FailNext(operation, err)
	}
}

var errInterrupted = fmt.Errorf("list addresses: %w", syscall.EINTR)

type errGone struct{}

func (errGone) Error() string { return "connection refused" }
func (errGone) Unavailable()  {}

// What a busy host could not do now is tried again. The apply waits for it, and has not failed.
func TestApplyTriesAgainWhatMayPass(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before string // installed before
		fail   func(*harness)
		line   string
	}{
		{"a list that changed while it was read", "", func(h *harness) { h.host.FailNext("connect", errInterrupted) },
			"shop: connect: list addresses: interrupted system call; trying again in 1s"},
		{"twice", "", func(h *harness) {
			h.host.FailNext("connect", errInterrupted)
			h.host.FailNext("connect", errInterrupted)
		},
			"shop: connect: list addresses: interrupted system call; trying again in 1s"},
		{"a start that took too long", "", func(h *harness) { h.host.FailNext("start web", context.DeadlineExceeded) }, "shop: start web (app): start web: context deadline exceeded; trying again in 1s"},
		{"a start whose answer was lost", "", func(h *harness) { h.host.FailNextDone("start web", context.DeadlineExceeded) }, "; trying again in 1s"},
		{"a create while containerd restarts", "", func(h *harness) { h.host.FailNext("create web", errGone{}) }, "connection refused; trying again in 1s"},
		{"a change", shop, func(h *harness) { h.host.FailNext("create web", errGone{}) }, "connection refused; trying again in 1s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				if tt.before != "" {
					h.mustApply("shop.hcl", tt.before)
				}
				tt.fail(h)
				lines, err := h.apply("shop.hcl", newWeb)
				if err != nil {
					t.Errorf("apply: %v", err)
				}
				if all := strings.Join(lines, "\n"); !strings.Contains(all, tt.line) || strings.Contains(all, "put back") {
					t.Errorf("progress:\n%s\nwant %q", all, tt.line)
				}
				if st := h.status("shop"); st.State != group.Running || st.Error != "" || h.text("shop.hcl") != newWeb {
					t.Errorf("%s, error %q, file\n%s", st.State, st.Error, h.text("shop.hcl"))
				}
			})
		})
	}
}

func TestApplyThatNeverPassesIsPutBackInTime(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		failAlways(h, "connect", errInterrupted)
		began := time.Now()
		_, err := h.apply("shop.hcl", shop)
		if err == nil || !strings.Contains(err.Error(), "list addresses: interrupted system call") {
			t.Errorf("apply: %v", err)
		}
		if took := time.Since(began); took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("it took %s", took)
		}
		if got := h.installed(); len(got) > 0 || h.host.String() != "" {
			t.Errorf("left: %q\n%s", got, h.host)
		}
	})
}

// The answer to the start of a job is lost, and the job completes. It has run once, and stays.
func TestApplyOfAJobThatCompletesAfterALostAnswer(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.ExitAtOnce("job", "once", 0)
		h.host.FailNextDone("start once", context.DeadlineExceeded)
		if _, err := h.apply("job.hcl", job); err != nil {
			t.Errorf("apply: %v", err)
		}
		h.checkRanOnce("job.hcl", job)
	})
}

// checkRanOnce checks that the job of a file has completed, was started once, and is installed.
func (h *harness) checkRanOnce(file, text string) {
	h.t.Helper()
	starts := 0
	for _, op := range h.host.Operations() {
		if op == "start once" {
			starts++
		}
	}
	if st := h.status("job"); st.State != group.Completed || starts != 1 || !slices.Contains(h.installed(), file) || h.text(file) != text {
		h.t.Errorf("job is %s after %d starts; installed: %q", st.State, starts, h.installed())
	}
}

// withSlowStore lets the first step of a kind begin once another call holds the right to the store.
// That call holds it for 30 seconds, in which no file can be put back.
func withSlowStore(h *harness, kind plan.Kind) {
	once := false
	h.config = func(c *keeper.Config) {
		c.Before = func(_ string, s plan.Step) {
			if s.Kind != kind || once {
				return
			}
			once = true
			go func() {
				release, err := h.keeper.Lock(context.Background())
				if err != nil {
					return
				}
				time.Sleep(30 * time.Second)
				release()
			}()
			time.Sleep(time.Second) // until it holds it; this is synctest's time
		}
	}
}

// A step fails. Before the file can be put back, the runner's next attempt succeeds.
func TestApplyThatIsBuiltBeforeItIsPutBack(t *testing.T) {
	for _, tt := range []struct {
		name, file, text, step string
		group                  string
		state                  group.State
	}{
		{"a group", "shop.hcl", shop, "start web", "shop", group.Running},
		{"a job that completes", "job.hcl", job, "start once", "job", group.Completed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				withSlowStore(h, plan.Start)
				h.begin()
				h.host.ExitAtOnce("job", "once", 0)
				h.host.FailNext(tt.step, errBoom)
				if lines, err := h.apply(tt.file, tt.text); err != nil || strings.Contains(strings.Join(lines, "\n"), "put back") {
					t.Errorf("apply: %v\n%s", err, strings.Join(lines, "\n"))
				}
				if st := h.status(tt.group); st.State != tt.state || st.Error != "" {
					t.Errorf("%s, error %q", st.State, st.Error)
				}
				if diff := cmp.Diff([]string{tt.file}, h.installed()); diff != "" {
					t.Errorf("installed (-want +got):\n%s", diff)
				}
				h.end()
			})
		})
	}
}

// A file has a job and a group. The job has completed when the group turns out not to be buildable.
func TestACompletedJobIsNotPutBack(t *testing.T) {
	both, job2 := shop+job, edited(job, "once:1", "once:2")
	for _, tt := range []struct {
		name, before, text string
		back               bool
	}{
		{"new", "", both, false},
		{"changed", both, newWeb + job2, false},
		{"not changed", both, newWeb + job, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.host.ExitAtOnce("job", "once", 0)
				if tt.before != "" {
					h.mustApply("all.hcl", tt.before)
				}
				h.host.ForgetOperations()
				failAlways(h, "create web", errBoom)
				_, err := h.apply("all.hcl", tt.text)
				if err == nil || !strings.Contains(err.Error(), "create web: boom") || strings.Contains(err.Error(), "its job job has completed meanwhile") == tt.back {
					t.Errorf("apply: %v", err)
				}
				want := tt.text
				if tt.back {
					want = tt.before
				}
				if got := h.text("all.hcl"); got != want {
					t.Errorf("the file is\n%s", got)
				}
				if st := h.status("job"); st.State != group.Completed {
					t.Errorf("job is %s", st.State)
				}
				if !tt.back {
					h.checkRanOnce("all.hcl", want)
				}
			})
		})
	}
}

// A generation that is late is not taken back if its file has a job of the same change that has
// completed.
func TestACompletedJobIsNotReverted(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.host.ExitAtOnce("job", "once", 0)
		h.mustApply("all.hcl", careful+job)
		h.host.BreakImage("registry.example/web:2", 3)
		h.host.ForgetOperations()
		text := careful2 + edited(job, "once:1", "once:2")
		_, err := h.apply("all.hcl", text)
		if err == nil || !strings.Contains(err.Error(), "it can't be taken back: its file has a job that has completed and would go back too: job") {
			t.Errorf("apply: %v", err)
		}
		h.checkRanOnce("all.hcl", text)
	})
}
