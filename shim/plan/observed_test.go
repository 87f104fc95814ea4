package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

func TestFromNothing(t *testing.T) {
	g := hosttest.Checkout()
	for _, tt := range []struct {
		name string
		seen plan.Observed
		want bool
	}{
		{"nothing is there", plan.Nothing(), true},
		{"after a boot", seen(g, every(host.TaskNone), net(absent, absent, absent, absent)), true},
		{"something runs", seen(g, net(absent, absent, absent, absent)), false},
		{"containers unknown", seen(g, blind, net(absent, absent, absent, absent)), false},
		{"it may be pinned", seen(g, every(host.TaskNone), net(unknown, absent, absent, absent)), false},
	} {
		if got := tt.seen.FromNothing(); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// A restart of containerd 2 forgets how a task has ended.
func TestRestored(t *testing.T) {
	g := hosttest.Checkout()
	created := func(o *plan.Observed) { o.Containers[2].CreatedAt = noon }
	status := uint32(3)
	record := restart.Record{Digest: g.Container("web").Digest, CreatedAt: noon, Ended: true, ExitStatus: &status, EndedAt: noon.Add(time.Second), OOMKilled: true}
	other := record
	other.CreatedAt = noon.Add(1)
	for _, tt := range []struct {
		name   string
		task   host.TaskState
		record restart.Record
		want   host.TaskState
	}{
		{"its end was seen", host.TaskNone, record, host.TaskStopped},
		{"another container ended", host.TaskNone, other, host.TaskNone},
		{"it runs", host.TaskRunning, record, host.TaskRunning},
		{"it did not end", host.TaskNone, restart.Record{Digest: record.Digest, CreatedAt: noon}, host.TaskNone},
	} {
		before := seen(g, task("web", tt.task), created)
		got, _ := before.Restored(restart.Records{"web": tt.record}).Container("web")
		if got.Task != tt.want {
			t.Errorf("%s: task %s, want %s", tt.name, got.Task, tt.want)
		}
		if got.Task == host.TaskStopped && (got.ExitStatus != 3 || !got.ExitedAt.Equal(record.EndedAt) || !got.OOMKilled) {
			t.Errorf("%s: %+v", tt.name, got)
		}
		if s, _ := before.Container("web"); s.Task != tt.task {
			t.Errorf("%s: the given observation was changed", tt.name)
		}
	}
}

// Nothing is decided without the saved records if they alone can tell the final state.
func TestUncertain(t *testing.T) {
	g := ordered()
	always := ordered(hosttest.EditContainer("web", hosttest.Policy(spec.RestartAlways)))
	once := ordered(hosttest.EditContainer("web", hosttest.Policy(spec.RestartNever)))
	fatal := ordered(hosttest.EditContainer("web", func(c *spec.Container) { c.OnFailure = spec.FailureStopsGroup }))
	done := []func(*plan.Observed){task("fetch", host.TaskStopped, 0), task("migrate", host.TaskStopped, 0)}
	for _, tt := range []struct {
		name string
		in   plan.Input
		want []string
	}{
		{"all runs, the inits ended well", plan.Input{Want: g, Observed: seen(g, done...)}, nil},
		{"inits without a task", plan.Input{Want: g, Observed: seen(g, task("fetch", host.TaskNone), task("migrate", host.TaskUnknown))}, []string{"fetch", "migrate"}},
		{"an app that always runs has no task", plan.Input{Want: always, Observed: with(seen(always, done...), task("web", host.TaskNone))}, nil},
		{"an app that runs once has no task", plan.Input{Want: once, Observed: with(seen(once, done...), task("web", host.TaskNone))}, []string{"web"}},
		{"an app that runs once has ended", plan.Input{Want: once, Observed: with(seen(once, done...), task("web", host.TaskStopped, 0))}, []string{"web"}},
		{"an app is started again anyway", plan.Input{Want: g, Observed: with(seen(g, done...), task("web", host.TaskStopped, 1))}, nil},
		{"an app failed that stops the group", plan.Input{Want: fatal, Observed: with(seen(fatal, done...), task("web", host.TaskStopped, 1))}, []string{"web"}},
		{"after a boot", plan.Input{Want: g, Observed: seen(g, every(host.TaskNone), net(absent, absent, absent, absent))}, nil},
		{"stopped", plan.Input{Want: once, Stopped: true, Observed: with(seen(once, done...), task("web", host.TaskNone))}, nil},
	} {
		var got []string
		for _, s := range tt.in.Uncertain() {
			got = append(got, s.Name)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestSince(t *testing.T) {
	g := hosttest.Checkout()
	newest := func(at time.Time) func(*plan.Observed) {
		return func(o *plan.Observed) { o.Containers[1].StartedAt = at }
	}
	for _, tt := range []struct {
		name  string
		in    plan.Input
		state group.State
		want  time.Time
	}{
		{"running", plan.Input{Observed: seen(g, newest(noon.Add(-time.Minute)))}, group.Running, noon.Add(-time.Minute)},
		{"running, and the clock was set back", plan.Input{Observed: seen(g, newest(noon.Add(time.Minute)))}, group.Running, noon},
		{"completed", plan.Input{Ended: &group.Ended{At: noon.Add(-time.Hour)}}, group.Completed, noon.Add(-time.Hour)},
		{"any other state", plan.Input{Observed: running(g)}, group.Degraded, noon},
	} {
		tt.in.Now = noon
		if got := tt.in.Since(tt.state); !got.Equal(tt.want) {
			t.Errorf("%s: since %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestReplacement(t *testing.T) {
	changed := hosttest.Checkout(hosttest.EditContainer("web", hosttest.Command("/new")))
	for _, tt := range []struct {
		name string
		in   plan.Input
		want string // empty: none
	}{
		{"a container is replaced", plan.Input{Want: changed, Observed: running(hosttest.Checkout())}, "create web (app)"},
		{"a container is removed", plan.Input{Want: hosttest.Checkout(), Observed: running(hosttest.Checkout(hosttest.AddApp("api", 5)))}, ""},
		{"nothing is there yet", plan.Input{Want: changed, Observed: plan.Nothing()}, ""},
		{"the namespace is lost", plan.Input{Want: changed, Observed: seen(hosttest.Checkout(), net(absent, absent, absent, absent))}, ""},
	} {
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		got := ""
		if s := plan.Replacement(plan.Steps(tt.in)); s != nil {
			got = s.String()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestWaitingHint(t *testing.T) {
	g := ordered()
	o := with(upTo("shipper"), task("store", host.TaskRunning))
	pending := healthy("store")
	h := pending["store"]
	h.Pending = true
	pending["store"] = h
	got := []string{}
	for _, health := range []map[string]host.Health{healthy(), pending, healthy("store")} {
		got = append(got, plan.WaitingHint(plan.Input{Want: g, Observed: o, Health: health}))
	}
	if diff := cmp.Diff([]string{"", "", `see "sallyport logs checkout.store"`}, got); diff != "" {
		t.Errorf("ready, not decided, not ready (-want +got):\n%s", diff)
	}
	got = nil
	for _, o := range []plan.Observed{upTo("fetch"), upTo("shipper")} {
		got = append(got, plan.WaitingHint(plan.Input{Want: g, Observed: o, Health: healthy("proxy")}))
	}
	const logs = `see "sallyport logs checkout.proxy"`
	if diff := cmp.Diff([]string{logs + "; the other containers start when it is ready, so its probe can't need their answers: have it answer by itself", logs}, got); diff != "" {
		t.Errorf("the ambassador alone, and after an init (-want +got):\n%s", diff)
	}
}
