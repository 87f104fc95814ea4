package keeper_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/keeper"
)

// A wallClock is a host's clock, which can be set.
type wallClock struct{ ahead atomic.Int64 }

func (c *wallClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// A host's clock that is set by an hour, either way, does no harm. The keeper's own waits use the
// monotonic clock. The risk is in the times from others, containerd and the previous daemon: they
// may come from the old clock.
func TestAClockThatIsSetByAnHour(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(h *harness)
		after  func(h *harness, over func()) // over makes all sources have the same time again
	}{
		{"a healthy group", func(h *harness) { h.mustApply("shop.hcl", shop) }, func(h *harness, _ func()) {
			h.wait(10 * time.Minute)
			h.did()
			if st := h.status("shop"); st.State != group.Running || st.Error != "" {
				h.t.Errorf("%s, error %q", st.State, st.Error)
			}
		}},
		{"a group that ends after it", func(h *harness) { h.mustApply("shop.hcl", shop); h.wait(time.Minute) }, func(h *harness, _ func()) {
			h.exit("shop", "web", 1)
			h.wait(2 * time.Second)
			if c := h.status("shop").Containers[2]; c.Task != host.TaskRunning || c.Restarts != 1 {
				h.t.Errorf("two seconds after its end: %+v", c)
			}
		}},
		{"a group that has ended before it", func(h *harness) {
			h.mustApply("shop.hcl", shop)
			h.exit("shop", "web", 1)
		}, func(h *harness, _ func()) {
			h.wait(2 * time.Second)
			if c := h.status("shop").Containers[2]; c.Task != host.TaskRunning {
				h.t.Errorf("two seconds after its end: %+v", c)
			}
		}},
		{"a group in a crash loop", func(h *harness) {
			h.host.BreakImage("registry.example/web:1", 3)
			h.write("shop.hcl", shop)
			h.wait(10 * time.Minute)
			h.host.ForgetOperations()
		}, func(h *harness, over func()) {
			for len(h.host.Operations()) == 0 {
				h.wait(time.Second)
			}
			over()
			h.wait(10 * time.Minute)
			starts := strings.Count(strings.Join(h.host.Operations(), "\n"), "start web")
			if starts < 8 || starts > 16 { // one a minute, and up to 16 if the back-off begins again
				h.t.Errorf("in ten minutes it was started %d times", starts)
			}
		}},
		{"a group in a rollout", func(h *harness) {
			h.mustApply("shop.hcl", careful)
			h.host.BreakImage("registry.example/web:2", 3)
			h.write("shop.hcl", careful2)
			h.wait(30 * time.Second)
		}, func(h *harness, _ func()) {
			h.wait(20 * time.Second)
			if st := h.status("shop"); st.Generation != 2 {
				h.t.Errorf("it was reverted before its time was over: generation %d, error %q", st.Generation, st.Error)
			}
			h.wait(time.Minute)
			if st := h.status("shop"); st.Generation != 3 || !strings.Contains(st.Error, "was taken back") {
				h.t.Errorf("after its time it is generation %d, error %q", st.Generation, st.Error)
			}
		}},
		{"a job that has ended", func(h *harness) {
			h.mustApply("job.hcl", job)
			h.exit("job", "once", 0)
			h.host.ForgetOperations()
		}, func(h *harness, _ func()) {
			h.wait(10 * time.Minute)
			h.did()
			if st := h.status("job"); st.State != group.Completed {
				h.t.Errorf("it is %s", st.State)
			}
		}},
	} {
		for _, set := range []time.Duration{-time.Hour, time.Hour} {
			for _, restarted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, by %s, another daemon %v", tt.name, set, restarted), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						clock := &wallClock{}
						h := newHarness(t)
						h.host = hosttest.New(clock.now)
						h.config = func(c *keeper.Config) {
							ahead := time.Duration(clock.ahead.Load()) // as this keeper finds it
							c.Now = func() time.Time { return time.Now().Add(ahead) }
						}
						h.begin()
						tt.before(h)
						clock.ahead.Store(int64(set))
						if restarted {
							h.end()
							h.begin()
						}
						tt.after(h, func() {
							if !restarted {
								clock.ahead.Store(0)
							}
						})
						h.end()
						if v := h.host.Violations(); len(v) > 0 {
							t.Errorf("the promise was broken:\n%s", strings.Join(v, "\n"))
						}
					})
				})
			}
		}
	}
}
