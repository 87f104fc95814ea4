package keeper_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/spec"
)

const resync, restEnds = 30 * time.Second, 5 * time.Minute

// looks returns how often a group is observed while a time passes.
func (h *harness) looks(group string, while time.Duration) uint64 {
	h.t.Helper()
	before := h.keeper.Counts()[group].Reconciliations
	h.wait(while)
	return h.keeper.Counts()[group].Reconciliations - before
}

// A group whose changes are all reported is observed once in five minutes.
func TestQuietGroupsRest(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		var quiet, failing atomic.Bool
		var asked atomic.Pointer[time.Time]
		h.config = func(c *keeper.Config) {
			c.Quiet = func(want *spec.Group, since time.Time) bool {
				if want == nil || want.Name != "shop" {
					t.Errorf("asked about %+v", want)
				}
				asked.Store(&since)
				return quiet.Load()
			}
			c.Changes = h.host
			c.WantOutput = func(*spec.Group) error {
				if failing.Load() {
					return errBoom
				}
				return nil
			}
		}
		h.begin()
		h.mustApply("shop.hcl", edited(shop, `group "shop" {`, "group \"shop\" {\n  resources { memory = \"64MiB\" }"))
		h.wait(2 * time.Minute)
		if n := h.looks("shop", restEnds); n != 10 {
			t.Errorf("%d looks in five minutes at a group that is not quiet, want 10", n)
		}
		quiet.Store(true)
		h.wait(resync)
		if n := h.looks("shop", 2*restEnds); n != 2 {
			t.Errorf("%d looks in ten minutes at a quiet group, want 2", n)
		}
		if age := time.Since(*asked.Load()); age > restEnds {
			t.Errorf("asked what has changed since a look %s ago", age)
		}
		h.host.Unlimit("shop") // and nothing reports it
		h.wait(restEnds)
		h.did("limit")

		pid := h.host.PID("shop", "web")
		h.host.Exit("shop", "web", 1)
		h.wait(2 * time.Second)
		if now := h.host.PID("shop", "web"); now == 0 || now == pid {
			t.Errorf("an app that has ended: process %d, before %d", now, pid)
		}
		h.wait(restEnds)
		h.host.ForgetOperations()
		h.host.Flush("shop")
		h.wait(2 * time.Second)
		h.did("seal", "admit")

		failing.Store(true) // to be tried again soon
		h.wait(restEnds)
		if n := h.looks("shop", restEnds); n != 10 {
			t.Errorf("%d looks in five minutes at a group with something left to do, want 10", n)
		}
		failing.Store(false)
		h.wait(resync)
		h.host.ForgetOperations()
		if err := h.keeper.Stop(t.Context(), "shop", nil); err != nil {
			t.Fatal(err)
		}
		if n := h.looks("shop", restEnds); n < 10 {
			t.Errorf("%d looks in five minutes at a stopped group, want 10", n)
		}
	})
}

// The time limit of a job holds, however quiet the job is.
func TestQuietJobsEndInTime(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		h.config = func(c *keeper.Config) { c.Quiet = func(*spec.Group, time.Time) bool { return true } }
		h.begin()
		h.mustApply("job.hcl", edited(job, `group "job" {`, "group \"job\" {\n  timeout = \"4m\""))
		h.wait(4*time.Minute - proof - 10*time.Second)
		if s := h.status("job").State; s != group.Running {
			t.Fatalf("before its time is over it is %s", s)
		}
		h.wait(25 * time.Second)
		if s := h.status("job").State; s == group.Running || s == group.Starting {
			t.Errorf("after its time it is %s", s)
		}
	})
}
