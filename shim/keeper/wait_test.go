package keeper_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
)

// jobs is a group of two apps that end, and one that serves them.
const jobs = `
group "jobs" {
  egress = "none"
  sidecar "cache" { image = "registry.example/cache:1" }
  app "first" {
    image = "registry.example/once:1"
    restart { policy = "never" }
  }
  app "second" {
    image = "registry.example/once:2"
    restart { policy = "never" }
  }
}
`

func TestWait(t *testing.T) {
	for _, tt := range []struct {
		name   string
		do     func(h *harness)
		before bool // do comes before the call of Wait
		status uint32
		err    string // part of it. Empty: none
	}{
		{"all well", func(h *harness) { h.exit("jobs", "first", 0); h.exit("jobs", "second", 0) }, false, 0, ""},
		{"the first failure in the file's order", func(h *harness) { h.exit("jobs", "second", 5); h.exit("jobs", "first", 4) }, false, 4, ""},
		{"a failure of the second", func(h *harness) { h.exit("jobs", "first", 0); h.exit("jobs", "second", 5) }, false, 5, ""},
		{"completed long ago, under another daemon", func(h *harness) {
			h.exit("jobs", "first", 0)
			h.exit("jobs", "second", 5)
			h.end()
			h.begin()
		}, true, 5, ""},
		{"removed", func(h *harness) {
			if err := h.keeper.Remove(context.Background(), "jobs", nil); err != nil {
				h.t.Error(err)
			}
		}, false, 0, "group jobs was removed before it had completed"},
		{"stopped", func(h *harness) {
			if _, err := h.stop("jobs"); err != nil {
				h.t.Error(err)
			}
		}, false, 0, "group jobs was stopped before it had completed"},
		{"no job any more", func(h *harness) { h.mustApply("jobs.hcl", edited(jobs, `"never"`, `"always"`)) }, false, 0, "group jobs is no job: first (app) is started again whenever it ends"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("jobs.hcl", jobs)
				if tt.before {
					tt.do(h)
				}
				done := make(chan struct{})
				var status uint32
				var err error
				go func() {
					defer close(done)
					status, err = h.keeper.Wait(context.Background(), "jobs")
				}()
				h.wait(time.Minute)
				if !tt.before {
					tt.do(h)
				}
				<-done
				if status != tt.status || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("status %d, error %v; want %d, %q", status, err, tt.status, tt.err)
				}
			})
		})
	}
}

func TestWaitForWhatNeverCompletes(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop, "jobs.hcl", jobs)
		if _, err := h.keeper.Wait(context.Background(), "shop"); err == nil || !strings.Contains(err.Error(), "group shop is no job: web (app)") {
			t.Errorf("no job: %v", err)
		}
		if _, err := h.keeper.Wait(context.Background(), "gone"); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("no group: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if _, err := h.keeper.Wait(ctx, "jobs"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a job that takes long: %v", err)
		}
	})
}
