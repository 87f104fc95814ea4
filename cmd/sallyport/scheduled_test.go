package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
)

func TestScheduleLines(t *testing.T) {
	at := time.Date(2026, time.March, 1, 2, 30, 0, 0, time.UTC)
	status := uint32(3)
	for _, tt := range []struct {
		name string
		last *group.Run
		want []string
	}{
		{"no run yet", nil, nil},
		{"it goes on", &group.Run{ID: "n-1", State: group.RunRunning}, []string{"last run: n-1 is running"}},
		{"it has ended", &group.Run{ID: "n-1", State: group.RunEnded, ExitStatus: &status, Ended: at}, []string{"last run: n-1: ended with status 3 at 2026-03-01 02:30:00 UTC"}},
		{"it was not run", &group.Run{ID: "n-1", State: group.RunNotRun, Error: "no image"}, []string{"last run: n-1: not run: no image"}},
	} {
		want := append([]string{"next run: 2026-03-01 02:30:00 UTC"}, tt.want...)
		if diff := cmp.Diff(want, problem(group.Status{NextRun: at, LastRun: tt.last})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
