package keeper_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/runner"
)

const watchdogTime = 2 * time.Minute

// watched returns a harness whose keeper has a watchdog, and a function that reports whether it was
// fed in time during the last d.
func watched(h *harness) (fed func(d time.Duration) bool) {
	var mu sync.Mutex
	last, late := time.Now(), false
	feed := func() {
		mu.Lock()
		defer mu.Unlock()
		late = late || time.Since(last) > watchdogTime
		last = time.Now()
	}
	h.config = func(c *keeper.Config) { c.Watchdog = keeper.Watchdog{Time: watchdogTime, Feed: feed} }
	return func(d time.Duration) bool {
		mu.Lock()
		last, late = time.Now(), false
		mu.Unlock()
		h.wait(d)
		mu.Lock()
		defer mu.Unlock()
		return !late && time.Since(last) <= watchdogTime
	}
}

func TestTheWatchdogIsFedWhileTheHostHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		fed := watched(h)
		h.begin()
		defer func() { h.end() }()
		if !fed(time.Hour) {
			t.Error("not fed without groups")
		}
		h.mustApply("shop.hcl", shop)
		if !fed(time.Hour) {
			t.Error("not fed while a group runs")
		}
		h.exit("shop", "web", 1)
		h.host.BreakImage("registry.example/web:1", 100)
		if !fed(time.Hour) {
			t.Error("not fed while a group can't be built")
		}
	})
}

// A call to the host that never answers is no hang of the loop.
func TestTheWatchdogIsFedWhileACallToTheHostHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		fed, answer := watched(h), make(chan struct{})
		before := h.config
		h.config = func(c *keeper.Config) {
			before(c)
			c.Runtime = hangingRuntime{c.Runtime, answer}
		}
		h.put("shop.hcl", shop)
		h.begin()
		defer func() { h.end() }()
		defer close(answer)
		if st := h.status("shop"); !st.Since.IsZero() {
			t.Fatalf("the group was looked at, and is %s, although the runtime hangs", st.State)
		}
		if !fed(time.Hour) {
			t.Error("not fed while the runtime hangs")
		}
	})
}

// A hangingRuntime gives no answer before answer is closed.
type hangingRuntime struct {
	runner.Runtime
	answer chan struct{}
}

func (r hangingRuntime) Observe(ctx context.Context, group string) ([]host.ContainerState, error) {
	<-r.answer
	return r.Runtime.Observe(ctx, group)
}

// A loop that works without an end starves the watchdog, and so does a lock that is never released.
func TestTheWatchdogStarvesWhenALoopHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		fed, hang := watched(h), make(chan struct{})
		before := h.config
		h.config = func(c *keeper.Config) {
			before(c)
			c.Before = func(_ string, s plan.Step) {
				if s.Kind == plan.Create {
					<-hang
				}
			}
		}
		h.put("shop.hcl", shop)
		h.begin()
		defer func() { h.end() }()
		if fed(2 * watchdogTime) {
			t.Error("fed, although the loop of a group hangs")
		}
		close(hang)
		synctest.Wait()
		if st := h.status("shop"); st.State != group.Running {
			t.Fatalf("the group is %s", st.State)
		}
		if !fed(time.Hour) {
			t.Error("not fed, although the loop goes on")
		}

		release, err := h.keeper.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if fed(2 * watchdogTime) {
			t.Error("fed, although the store is locked")
		}
		release()
		if !fed(time.Hour) {
			t.Error("not fed, although the store is free again")
		}
	})
}
