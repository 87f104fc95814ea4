package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// A container that runs and may not go on is killed, without a grace and without its pre_stop, also
// if it is to be replaced anyway. One that was made and has not begun is not started.
func TestForbiddenDevices(t *testing.T) {
	g := ordered(hosttest.EditContainer("web", func(c *spec.Container) { c.Stop.PreStop = []string{"/drain"} }))
	other := ordered(hosttest.EditContainer("web", hosttest.Command("/new")))
	const why = "its device 188:0 is another one by now"
	forbidden := func(task host.TaskState) func(*plan.Observed) {
		return func(o *plan.Observed) {
			for i := range o.Containers {
				if s := &o.Containers[i]; s.Name == "web" {
					s.Task, s.Forbidden = task, why
				}
			}
		}
	}
	for _, tt := range []struct {
		name string
		want *spec.Group
		task host.TaskState
		all  []string
	}{
		{"it runs", g, host.TaskRunning, []string{"stop web (app), grace 0s: " + why}},
		{"it runs, and has another definition", other, host.TaskRunning, []string{"stop web (app), grace 0s: " + why}},
		{"it has ended", g, host.TaskStopped, nil},
		{"it has not begun", g, host.TaskCreated, []string{"remove web (app)", "create web (app)", "start web (app)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := with(seen(g, task("fetch", host.TaskStopped, 0), task("migrate", host.TaskStopped, 0)), forbidden(tt.task))
			health := healthy()
			if tt.task == host.TaskStopped {
				g.Container("web").Restart.Policy = spec.RestartNever
			}
			steps := plan.Steps(plan.Input{Want: tt.want, Observed: o, Health: health, Now: noon, Layout: fixedLayout})
			if diff := cmp.Diff(tt.all, texts(steps)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, s := range steps {
				if s.Kind == plan.Stop && s.Targets[0].Reason != "" && len(s.Targets[0].Stop.PreStop) > 0 {
					t.Error("it runs its pre_stop")
				}
			}
		})
	}
}

func texts(steps []plan.Step) (all []string) {
	for _, s := range steps {
		all = append(all, s.String())
	}
	return all
}
