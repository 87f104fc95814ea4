package denials_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every denied packet is counted once, those too that no event has yet, or ever has by itself. A
// group that is gone has no counts.
func TestDenied(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		want := func(want map[string]map[string]uint64) {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			if diff := cmp.Diff(want, h.poller.Denied()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		want(map[string]map[string]uint64{})
		for n := uint64(1); n <= 20; n++ { // an event does not follow each: they become rare
			h.doors.Refuse("shop", webToBank, 3)
			h.doors.Refuse("shop", denial("", "192.0.2.9:53", 0), 1)
			want(map[string]map[string]uint64{"shop": {"web": 3 * n, "": n}})
		}
		h.doors.ForgetDenials("shop") // the rules were made anew
		want(map[string]map[string]uint64{"shop": {"web": 60, "": 20}})
		h.doors.Refuse("shop", webToBank, 2)
		h.doors.Refuse("job", jobToNTP, 7)
		want(map[string]map[string]uint64{"shop": {"web": 62, "": 20}, "job": {"job": 7}})
		h.groups.Store(&[]string{"shop"})
		want(map[string]map[string]uint64{"shop": {"web": 62, "": 20}})
	})
}
