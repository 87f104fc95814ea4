package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
)

// A fast run prints nothing. A slow one prints what it waits for, its place seldom, and after its
// start only what became of a signal.
func TestRunProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := newRunProgress(&ui{err: &out})
		for place := 30; place > 0; place-- {
			p.notice(group.RunNotice{ID: "job-1", State: group.RunQueued, Place: place})
			time.Sleep(time.Second)
		}
		p.notice(group.RunNotice{ID: "job-1", State: group.RunStarting})
		p.notice(group.RunNotice{ID: "job-1", Line: "job-1: create app (app)"})
		p.notice(group.RunNotice{ID: "job-1", State: group.RunRunning})
		p.notice(group.RunNotice{ID: "job-1", Line: "job-1: start app (app)"})
		p.notice(group.RunNotice{ID: "job-1", Line: "job-1: SIGINT does nothing: its program does not handle it"})
		p.notice(group.RunNotice{ID: "job-1", Stream: "stdout", Dropped: 7})
		p.end()
		want := `sallyport: job-1 waits for its turn: place 30 in the queue
sallyport: job-1 waits for its turn: place 25 in the queue
sallyport: job-1 waits for its turn: place 15 in the queue
sallyport: job-1: create app (app)
sallyport: job-1: SIGINT does nothing: its program does not handle it
sallyport: warning: 7 bytes of stdout are missing here: they were more than is kept, and went before they could be read
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}

		out.Reset()
		p = newRunProgress(&ui{err: &out})
		p.notice(group.RunNotice{ID: "job-1", Line: "job-1: create app (app)"})
		p.notice(group.RunNotice{ID: "job-1", State: group.RunRunning})
		time.Sleep(2 * runQuiet)
		if p.end(); out.String() != "" {
			t.Errorf("a fast run prints %q", out.String())
		}
	})
}
