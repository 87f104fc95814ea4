package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// A container that was started again as often as its restart block allows stays down, and its state
// has what to type. One that is always to run has not ended for good by that, so its group goes on.
func TestAttempts(t *testing.T) {
	attempts := func(policy spec.RestartPolicy, edits ...func(*spec.Group)) *spec.Group {
		return hosttest.Checkout(append(edits, hosttest.EditContainer("web", func(c *spec.Container) {
			c.Restart = spec.Restart{Policy: policy, Attempts: 3}
		}))...)
	}
	ignoring := hosttest.EditContainer("web", func(c *spec.Container) { c.OnFailure = spec.FailureIgnored })
	for _, tt := range []struct {
		name   string
		want   *spec.Group
		ends   int
		asked  bool // for a restart
		starts bool // it is started now
		state  group.State
		ending group.State // "": the group goes on
		down   bool        // it is given up
		failed bool        // the group has a problem
	}{
		{"one is left", attempts(spec.RestartAlways), 3, false, true, group.Degraded, "", false, true},
		{"spent", attempts(spec.RestartAlways), 4, false, false, group.Degraded, "", true, true},
		{"spent by a job", attempts(spec.RestartOnFailure), 4, false, false, group.Degraded, group.Completed, true, true},
		{"spent, and ignored", attempts(spec.RestartAlways, ignoring), 4, false, false, group.Running, "", true, false},
		{"spent, and a restart was asked for", attempts(spec.RestartAlways), 4, true, true, group.Degraded, "", false, true},
		{"without a bound", hosttest.Checkout(), 400, false, true, group.Degraded, "", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := plan.Input{
				Want: tt.want, Observed: seen(tt.want, task("web", host.TaskStopped, 1)), Health: healthy(), Now: noon, Layout: fixedLayout,
				Records: restart.Records{"web": {Digest: tt.want.Container("web").Digest, Ended: true, EndsInARow: tt.ends, Next: noon}},
				Restart: map[string]bool{"web": tt.asked},
			}
			starts := slices.ContainsFunc(plan.Steps(in), func(s plan.Step) bool { return s.Kind == plan.Start && s.Targets[0].Name == "web" })
			if starts != tt.starts {
				t.Errorf("started: %t, want %t", starts, tt.starts)
			}
			if got := plan.StateOf(in, group.Running); got != tt.state {
				t.Errorf("state %q, want %q", got, tt.state)
			}
			ending := group.State("")
			if e := in.Ending(); e != nil {
				ending = e.State
			}
			if ending != tt.ending {
				t.Errorf("ended as %q, want %q", ending, tt.ending)
			}
			st := plan.ContainerStatuses(in)[slices.IndexFunc(plan.ContainerStatuses(in), func(st group.ContainerStatus) bool { return st.Name == "web" })]
			const typed = `it was started again 3 times in a row, which is all that its restart block allows: type "sallyport restart checkout.web"`
			if down := st.StaysDown == typed; down != tt.down || !tt.down && st.StaysDown != "" || tt.down && !st.NextStart.IsZero() {
				t.Errorf("stays down: %q, starts at %s", st.StaysDown, st.NextStart)
			}
			err := plan.Problem(in)
			if (err != nil) != tt.failed {
				t.Errorf("problem %v", err)
			}
			if says := strings.Contains(hint.Of(err), `stays down until "sallyport restart checkout.web"`); says != (tt.down && tt.failed) {
				t.Errorf("hint %q", hint.Of(err))
			}
			if got := len(plan.GivenUp(in)) == 1; got != tt.down {
				t.Errorf("given up: %v", plan.GivenUp(in))
			}
		})
	}
}

// Apps wait for a sidecar that was given up, unless its failure is ignored.
func TestAttemptsOfWhatOthersWaitFor(t *testing.T) {
	for _, ignored := range []bool{false, true} {
		g := hosttest.Checkout(hosttest.EditContainer("shipper", func(c *spec.Container) {
			c.Restart = spec.Restart{Policy: spec.RestartAlways, Attempts: 1}
			if ignored {
				c.OnFailure = spec.FailureIgnored
			}
		}))
		in := plan.Input{
			Want: g, Observed: seen(g, task("web", host.TaskCreated), task("shipper", host.TaskStopped, 1)), Health: healthy(), Now: noon, Layout: fixedLayout,
			Records: restart.Records{"shipper": {Digest: g.Container("shipper").Digest, Ended: true, EndsInARow: 2, EndedAt: noon.Add(-time.Hour)}},
		}
		if starts := len(plan.Steps(in)) > 0; starts != ignored {
			t.Errorf("ignored %t: steps %v", ignored, plan.Steps(in))
		}
	}
}
