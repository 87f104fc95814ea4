package plan_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// A plan has the reason for each container that it replaces, and for no other.
func TestReplaced(t *testing.T) {
	web := func(edit func(*spec.Container)) func(*spec.Group) {
		return func(g *spec.Group) { edit(g.Container("web")) }
	}
	before := hosttest.Checkout()
	other := hosttest.Checkout(web(func(c *spec.Container) { c.Env, c.Args = map[string]string{"A": "b"}, []string{"x"} }))
	for _, tt := range []struct {
		name string
		in   plan.Input
		want []string
	}{
		{"nothing differs", plan.Input{Want: before, Previous: before, Observed: running(before)}, nil},
		{"nothing is there", plan.Input{Want: before, Observed: plan.Nothing()}, nil},
		{"another definition", plan.Input{Want: other, Previous: before, Observed: running(before)}, []string{"web (app): changed: args, env"}},
		{"another definition, and the one that is there is not known", plan.Input{Want: other, Previous: other, Observed: running(before)},
			[]string{"web (app): its definition is not that of generation 0, which it was made from"}},
		{"a restart", plan.Input{Want: before, Previous: before, Observed: running(before), Restart: map[string]bool{"web": true}}, []string{"web (app): it is restarted"}},
		{"another image", plan.Input{Want: before, Previous: before, Observed: running(before), Digests: map[string]string{before.Container("web").Image: "sha256:new"}},
			[]string{"web (app): its image has another digest"}},
		{"stopped", plan.Input{Want: other, Previous: before, Observed: running(before), Stopped: true}, nil},
	} {
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		if diff := cmp.Diff(tt.want, plan.Replaced(tt.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A plan has what a running container takes of its new definition. It has nothing of a container
// that is replaced, or that is not there.
func TestLiveChanges(t *testing.T) {
	web := func(edit func(*spec.Container)) *spec.Group {
		return hosttest.Checkout(func(g *spec.Group) { edit(g.Container("web")) })
	}
	before := hosttest.Checkout()
	size := web(func(c *spec.Container) { c.Output.Size, c.Stop.Timeout = 1<<20, time.Minute })
	split := web(func(c *spec.Container) { c.Output = spec.Output{Size: 1 << 20, Split: true} })
	for _, tt := range []struct {
		name     string
		in       plan.Input
		live     []string
		replaces int
	}{
		{"nothing differs", plan.Input{Want: before, Previous: before, Observed: running(before)}, nil, 0},
		{"size of the output", plan.Input{Want: size, Previous: before, Observed: running(before)}, []string{"web (app): output, stop"}, 0},
		{"output in two files", plan.Input{Want: split, Previous: before, Observed: running(before)}, nil, 1},
		{"a new group", plan.Input{Want: size, Observed: plan.Nothing()}, nil, 0},
		{"stopped", plan.Input{Want: size, Previous: before, Observed: running(before), Stopped: true}, nil, 0},
	} {
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		if diff := cmp.Diff(tt.live, plan.LiveChanges(tt.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if got := plan.Replaced(tt.in); len(got) != tt.replaces {
			t.Errorf("%s: replaces %q", tt.name, got)
		}
	}
}

// Containers whose state is unknown for one reason share one message.
func TestUnknownContainersOfOneShim(t *testing.T) {
	g, why := hosttest.Checkout(), errors.New("its shim hangs")
	o := running(g)
	for i := range o.Containers {
		o.Containers[i].Task, o.Containers[i].Why = host.TaskUnknown, why
	}
	err := o.Unknown(g)
	if err == nil || strings.Count(err.Error(), why.Error()) != 1 || !strings.Contains(err.Error(), "web (app)") || !strings.Contains(err.Error(), ", ") {
		t.Errorf("got %v", err)
	}
}
