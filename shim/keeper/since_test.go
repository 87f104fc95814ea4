package keeper_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
)

// A keeper that has only adopted a group takes the time of its state from the containers.
func TestSinceOutlivesTheKeeper(t *testing.T) {
	for _, tt := range []struct {
		name string
		text string
		do   func(h *harness)
	}{
		{"running", shop, func(*harness) {}},
		{"running, with probes", till, func(h *harness) {
			for _, name := range []string{"fetch", "migrate"} {
				h.exit("till", name, 0)
			}
		}},
		{"completed", job, func(h *harness) { h.exit("job", "once", 0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.end()
				h.config = func(c *keeper.Config) { c.Prober = h.host.Prober() }
				h.begin()
				h.write("a.hcl", tt.text)
				tt.do(h)
				h.wait(time.Minute)
				all, err := h.keeper.Status("")
				if err != nil {
					t.Fatal(err)
				}
				since := all[0].Since
				h.wait(time.Hour)
				h.end()
				h.begin()
				h.wait(time.Minute)
				now, err := h.keeper.Status("")
				if err != nil {
					t.Fatal(err)
				}
				if now[0].State != all[0].State || now[0].Since.Sub(since).Abs() > 30*time.Second {
					t.Errorf("%s since %s, and was %s since %s", now[0].State, now[0].Since, all[0].State, since)
				}
				if all[0].State == group.Running {
					h.end()
					h.host.Reboot()
					h.wait(time.Hour)
					h.begin()
					tt.do(h)
					h.wait(time.Minute)
					if st, _ := h.keeper.Status(""); st[0].State != group.Running || time.Since(st[0].Since) > 2*time.Minute {
						t.Errorf("after a boot: %s since %s", st[0].State, st[0].Since)
					}
				}
			})
		})
	}
}
