package keeper

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

// A run whose app has ended counts as run, even where its start has failed since a daemon that was
// killed had made it. A start that has failed for another reason leaves it not run.
func TestFinishOfARunWhoseStartFailed(t *testing.T) {
	at := time.Unix(1, 0)
	for _, tt := range []struct {
		name  string
		why   error
		exits map[string]group.Exit
		want  group.RunState
		code  int
	}{
		{"its app has ended", nil, map[string]group.Exit{"work": {Status: 4}}, group.RunEnded, 4},
		{"its app has not run", errors.New("start work (app): no"), nil, group.RunNotRun, 125},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRun(group.Run{ID: "report-1", App: "work", State: group.RunStarting}, spec.Group{Name: "report-1", Containers: []spec.Container{{Name: "work", Role: spec.App}}})
			r.notRun = true
			if r.end(tt.why); tt.exits != nil {
				r.endWith(&group.Ended{State: group.Completed, At: at, Exits: tt.exits})
			}
			if got := r.finish(at); got.State != tt.want || got.ExitCode() != tt.code {
				t.Errorf("%+v, exit status %d", got, got.ExitCode())
			}
		})
	}
}
