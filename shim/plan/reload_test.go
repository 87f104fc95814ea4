package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// placed returns the group of these tests, with files in its ambassador: path, content and signal
// of each.
func placed(files ...string) func(edits ...func(*spec.Group)) *spec.Group {
	return func(edits ...func(*spec.Group)) *spec.Group {
		edits = append([]func(*spec.Group){hosttest.EditContainer("proxy", hosttest.Placed(files...))}, edits...)
		return hosttest.Checkout(edits...)
	}
}

func TestPlanReloads(t *testing.T) {
	before, after := placed("/etc/proxy.cfg", "one", "SIGHUP"), placed("/etc/proxy.cfg", "two", "SIGHUP")
	ready := hosttest.EditContainer("proxy", func(c *spec.Container) {
		c.Probes = []spec.Probe{{Kind: spec.ProbeReady, TCP: &spec.TCPProbe{Port: 443}}}
	})
	newWeb := hosttest.EditContainer("web", hosttest.Command("/bin/new"))
	newProxy := hosttest.EditContainer("proxy", hosttest.Command("/bin/new"))
	several := func(one, two, three, four string) *spec.Group {
		return placed("/a", one, "SIGHUP", "/b", two, "SIGHUP", "/c", three, "SIGUSR1", "/d", four, "")()
	}
	loaded := func(text string) func(*plan.Observed) {
		return func(o *plan.Observed) { o.Containers[0].Loaded = text }
	}
	tests := []struct {
		name string
		in   plan.Input
	}{
		{"nothing changed", plan.Input{Want: before(), Observed: running(before())}},
		{"the file changed", plan.Input{Want: after(), Observed: running(before())}},
		{"the file changed, without a reload", plan.Input{Want: placed("/etc/proxy.cfg", "two", "")(), Observed: running(placed("/etc/proxy.cfg", "one", "")())}},
		{"the signal changed", plan.Input{Want: placed("/etc/proxy.cfg", "one", "SIGUSR2")(), Observed: running(before())}},
		{"the signal and the file changed", plan.Input{Want: placed("/etc/proxy.cfg", "two", "SIGUSR2")(), Observed: running(before())}},
		{"the reload is new", plan.Input{Want: before(), Observed: running(placed("/etc/proxy.cfg", "one", "")())}},
		{"the reload is gone", plan.Input{Want: placed("/etc/proxy.cfg", "one", "")(), Observed: running(before())}},
		{"the path changed", plan.Input{Want: placed("/etc/other.cfg", "one", "SIGHUP")(), Observed: running(before())}},
		{"two of three files changed", plan.Input{Want: several("1", "2", "x", "4"), Observed: running(several("1", "x", "3", "4"))}},
		{"two files of one signal changed", plan.Input{Want: several("x", "x", "3", "4"), Observed: running(several("1", "2", "3", "4"))}},
		{"a file without a reload changed too", plan.Input{Want: several("x", "2", "3", "x"), Observed: running(several("1", "2", "3", "4"))}},
		{"a keeper died before the signal", plan.Input{Want: several("1", "2", "3", "4"), Observed: seen(several("1", "2", "3", "4"), loaded(func() string {
			g := several("1", "x", "3", "4")
			return g.Container("proxy").Loading(several("1", "2", "3", "4").Container("proxy").Loaded())
		}()))}},
		{"what is loaded is not known", plan.Input{Want: before(), Observed: seen(before(), loaded(""))}},
		{"the definition changed too", plan.Input{Want: after(newProxy), Observed: running(before())}},
		{"its image changed too", plan.Input{Want: after(), Observed: running(before()), Digests: group.ImageDigests{"haproxy:2": "sha256:other"}}},
		{"it is to be restarted", plan.Input{Want: after(), Observed: running(before()), Restart: map[string]bool{"proxy": true}}},
		{"it has not begun to run", plan.Input{Want: after(), Observed: seen(before(), task("proxy", host.TaskCreated))}},
		{"it has ended", plan.Input{Want: after(), Observed: seen(before(), task("proxy", host.TaskStopped, 1))}},
		{"it has ended for good", plan.Input{
			Want:     after(hosttest.EditContainer("proxy", hosttest.Policy(spec.RestartNever))),
			Observed: seen(before(), task("proxy", host.TaskStopped, 0)),
		}},
		{"its state is unknown", plan.Input{Want: after(), Observed: seen(before(), task("proxy", host.TaskUnknown))}},
		{"all containers are unknown", plan.Input{Want: after(), Observed: seen(before(), blind)}},
		{"its probes failed", plan.Input{Want: after(), Observed: running(before()), Health: map[string]host.Health{"proxy": {Failed: true, Reason: "its live probe failed"}}}},
		{"an app changed too", plan.Input{Want: after(newWeb), Observed: running(before())}},
		{"an app changed too, and waits for the probe", plan.Input{
			Want: after(newWeb, ready), Observed: running(before(ready)), Health: map[string]host.Health{"proxy": {Started: true, Ready: true}},
		}},
		{"the group is to be stopped", plan.Input{Want: after(), Stopped: true, Observed: running(before())}},
		{"rules unknown", plan.Input{Want: after(), Observed: seen(before(), net(unknown, unknown, unknown, unknown))}},
	}
	var got strings.Builder
	for _, tt := range tests {
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		fmt.Fprintf(&got, "# %s\n", tt.name)
		for _, s := range plan.Texts(plan.Steps(tt.in)) {
			got.WriteString(s + "\n")
		}
		for _, line := range plan.Replaced(tt.in) {
			got.WriteString("replaces " + line + "\n")
		}
		got.WriteString("\n")
	}
	golden(t, "reload.golden", got.String())
}

// A change of the signal is taken by the container as it runs, and so is one of the contents.
func TestLiveChangesOfReloads(t *testing.T) {
	before := placed("/etc/proxy.cfg", "one", "SIGHUP")()
	for _, tt := range []struct {
		want *spec.Group
		live []string
	}{
		{placed("/etc/proxy.cfg", "one", "SIGUSR2")(), []string{"proxy (ambassador): reload"}},
		{placed("/etc/proxy.cfg", "two", "SIGHUP")(), []string{"proxy (ambassador): file /etc/proxy.cfg (SIGHUP)"}},
		{placed("/etc/proxy.cfg", "two", "")(), nil},
	} {
		got := plan.LiveChanges(plan.Input{Want: tt.want, Previous: before, Observed: running(before), Now: noon, Layout: fixedLayout})
		if diff := cmp.Diff(tt.live, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// A reload of the ambassador doesn't take its group down, and one that fails is an error of what is
// built.
func TestReloadStep(t *testing.T) {
	before, after := placed("/a", "1", "SIGHUP")(), placed("/a", "2", "SIGHUP")()
	in := plan.Input{Want: after, Observed: running(before), Now: noon, Layout: fixedLayout}
	steps := plan.Steps(in)
	if len(steps) != 1 || steps[0].Kind != plan.Reload || !steps[0].Builds() || plan.Replacement(steps) != nil {
		t.Fatalf("steps are %q", plan.Texts(steps))
	}
	if s := plan.StateOf(in, group.Running); s != group.Running {
		t.Errorf("the group is %s meanwhile", s)
	}
	if !slices.Equal(spec.ReloadSignals(steps[0].Targets[0].Files), []string{"SIGHUP"}) {
		t.Errorf("files are %+v", steps[0].Targets[0].Files)
	}
}
