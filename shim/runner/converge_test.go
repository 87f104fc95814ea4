package runner_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// errFault is the error of an operation that a test makes fail.
var errFault = errors.New("boom")

// A harness has a host, a runner whose observations and steps the test asks for, and a clock
// that only moves when the test moves it.
type harness struct {
	host    *hosttest.Host
	config  *runner.Config
	records *memoryRecords
	runner  *runner.Runner
	at      time.Time
}

// memoryRecords keeps the records of one group in memory. They stay when a keeper ends.
type memoryRecords struct {
	saved restart.Records
	ended *group.Ended
	run   *restart.Run
}

func (m *memoryRecords) Ended(_ string, generation int) (*group.Ended, error) {
	if m.ended == nil || m.ended.Generation != generation {
		return nil, nil
	}
	return m.ended, nil
}

func (m *memoryRecords) SetEnded(_ string, e *group.Ended) error { m.ended = e; return nil }
func (m *memoryRecords) KnowsEnd(string) bool                    { return m.ended != nil }

func (m *memoryRecords) Run(string) (*restart.Run, error)        { return m.run, nil }
func (m *memoryRecords) SetRun(_ string, now *restart.Run) error { m.run = now; return nil }

func (m *memoryRecords) Restarts(string) (restart.Records, error) { return m.saved, nil }

func (m *memoryRecords) SetRestarts(_ string, h restart.Records) error {
	m.saved = h.ToSave()
	return nil
}

func newHarness() *harness {
	h := &harness{at: hosttest.Noon, records: &memoryRecords{}}
	h.host = hosttest.New(func() time.Time { return h.at })
	h.config = &runner.Config{
		Runtime: h.host.Runtime(), Network: h.host.Network(), Volumes: h.host.Volumes(), Cgroups: h.host.Cgroups(),
		Records: h.records, Layout: layout.Layout{CgroupRoot: "/sallyport"},
		Now: func() time.Time { return h.at }, Rand: func() float64 { return 0 },
	}
	if err := h.config.Fill(); err != nil {
		panic(err)
	}
	return h
}

// plan makes the runner observe, records whether the group has ended, and plans.
func (h *harness) plan(name string, want *spec.Group) (plan.Input, []plan.Step) {
	if h.runner == nil {
		h.runner = runner.New(name, nil, "", h.config, nil)
	}
	var wanted *store.Wanted
	if want != nil {
		wanted = &store.Wanted{Group: *want, Generation: generation(want)}
	}
	h.runner.Want(wanted, nil, nil)
	in := h.runner.Observe(context.Background())
	in.Health = h.health(in)
	if end := in.Ending(); end != nil {
		h.records.ended = end
		h.records.ended.Generation = generation(want)
		return h.plan(name, want)
	}
	return in, plan.Steps(in)
}

// generation numbers definitions.
func generation(g *spec.Group) int {
	n, _ := strconv.ParseInt(g.Digest[:8], 16, 64)
	return int(n)
}

// health asks each probe of the running containers once. One answer decides.
func (h *harness) health(in plan.Input) map[string]host.Health {
	health := map[string]host.Health{}
	for _, s := range in.Observed.Containers {
		if in.Want == nil || in.Want.Container(s.Name) == nil || s.Task != host.TaskRunning {
			continue
		}
		one := host.Health{Started: true, Ready: true}
		for _, p := range in.Want.Container(s.Name).Probes {
			err := h.host.Prober().Probe(context.Background(), in.Want.Name, s.Name, p)
			one.Ready = one.Ready && (err == nil || p.Kind == "live")
			one.Failed = one.Failed || err != nil && p.Kind == "live"
		}
		health[s.Name] = one
	}
	return health
}

// act makes the runner do at most n of the steps. It ends at the first error.
func (h *harness) act(steps []plan.Step, n int) error {
	for _, s := range steps[:min(n, len(steps))] {
		if err := h.runner.Execute(context.Background(), s); err != nil {
			return err
		}
	}
	return nil
}

// nextKeeper replaces the keeper by another one, which knows only the saved records.
func (h *harness) nextKeeper() { h.runner = nil }

// startByHand does what an operator's start does.
func (h *harness) startByHand() {
	if h.runner != nil {
		h.runner.StartAgain()
	}
}

const many = 1000

// converge observes and acts until there is nothing to do, as often as a failure may need. It moves
// the clock to the next start of a container that waits for one. Meanwhile everything is ready, and
// inits end well.
func (h *harness) converge(group string, want *spec.Group) (plan.Observed, error) {
	h.heal(group)
	for range 25 {
		h.host.Exit(group, "fetch", 0)
		h.host.Exit(group, "migrate", 0)
		in, steps := h.plan(group, want)
		if next := plan.Next(in); len(steps) == 0 && next.IsZero() && (settled(in) || downForGood(in)) {
			return in.Observed, nil
		} else if len(steps) == 0 && !next.IsZero() {
			h.at = next
		}
		_ = h.act(steps, many) // the next round tries again
	}
	_, steps := h.plan(group, want)
	return plan.Observed{}, fmt.Errorf("after 25 reconciliations there are still steps: %s\nthe host:\n%s", strings.Join(plan.Texts(steps), "; "), h.host)
}

// heal ends all faults of the group's programs.
func (h *harness) heal(group string) {
	for _, name := range []string{"proxy", "shipper", "store", "api", "web"} {
		h.host.Answer(group, name, "ready", nil)
		h.host.Answer(group, name, "live", nil)
	}
}

func settled(in plan.Input) bool {
	if in.ToRun() == nil {
		return in.Observed.Gone()
	}
	return plan.StateOf(in, group.Running) != group.Degraded && plan.Blocked(in) == ""
}

// downForGood reports whether all was observed, and the group is not whole because of a container
// that has ended and does not start again: it has failed, or others wait for it.
func downForGood(in plan.Input) bool {
	return in.Observed.Unknown(in.ToRun()) == nil &&
		(plan.Problem(in) != nil || strings.Contains(plan.Blocked(in), " to be ready: it ended with "))
}

// check fails the test if the host recorded a violation.
func (h *harness) check(t fataler) {
	t.Helper()
	if v := h.host.Violations(); len(v) > 0 {
		t.Fatalf("the promise was broken:\n%s\nin:\n%s", strings.Join(v, "\n"), strings.Join(h.host.Operations(), "\n"))
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// freshHost returns a host, as text, on which the group was the first thing ever done.
func freshHost(t fataler, want *spec.Group) string {
	t.Helper()
	h := newHarness()
	if _, err := h.converge(want.Name, want); err != nil {
		t.Fatalf("%v", err)
	}
	h.check(t)
	return h.host.String()
}

// anyVolume has the kinds of volumes, and the attributes that can change.
var anyVolume = []spec.Volume{
	{Name: "logs", Size: 1 << 20}, {Name: "logs", Size: 2 << 20}, {Name: "logs", Size: 1 << 20, Owner: "1:1", Mode: 0o700},
	{Name: "logs", Persistent: true}, {Name: "logs", Persistent: true, Owner: "1:1"}, {Name: "logs", HostPath: "/srv/a"}, {Name: "logs", HostPath: "/srv/b"},
}

// anyLimits has limits of whole groups.
var anyLimits = []spec.Resources{{}, {Memory: 1 << 30}, {Memory: 1 << 30, Swap: new(int64)}, {CPU: 0.5, PIDs: 100, IOWeight: 50}}

// anyGroup draws a group called g.
func anyGroup(t *rapid.T, label string) *spec.Group {
	g := &spec.Group{Name: "g", Egress: rapid.SampledFrom([]spec.Egress{
		spec.EgressAmbassador, spec.EgressNone, spec.EgressDirect,
	}).Draw(t, label+" egress")}
	g.Resources = rapid.SampledFrom(anyLimits).Draw(t, label+" limits")
	if rapid.Bool().Draw(t, label+" has a volume") {
		g.Volumes = []spec.Volume{rapid.SampledFrom(anyVolume).Draw(t, label+" volume")}
	}
	if g.Egress == spec.EgressAmbassador {
		c := spec.Container{Name: "proxy", Role: spec.Ambassador}
		for _, port := range rapid.SliceOfNDistinct(rapid.Uint16Range(1, 3), 0, 2, rapid.ID).Draw(t, label+" ports") {
			c.Publish = append(c.Publish, spec.Publish{Name: fmt.Sprint(port), Host: port, Port: 80, Protocol: "tcp"})
		}
		if rapid.Bool().Draw(t, label+" allows little") {
			c.Allow = []spec.Allow{{Prefix: "192.0.2.0/24", Protocol: "tcp"}}
		}
		c.Intercept = rapid.SampledFrom([]uint16{0, 15001}).Draw(t, label+" intercept")
		c.Rate.Out = rapid.SampledFrom([]int64{0, 2_000_000}).Draw(t, label+" rate")
		c.Quota = rapid.SampledFrom([]int64{0, 1 << 30}).Draw(t, label+" quota")
		c.Probes = anyProbes(t, label+" proxy", "ready")
		g.Containers = append(g.Containers, c)
	}
	for _, name := range []string{"fetch", "migrate"}[:rapid.IntRange(0, 2).Draw(t, label+" inits")] {
		g.Containers = append(g.Containers, spec.Container{Name: name, Role: spec.Init})
	}
	for i, name := range []string{"shipper", "store"}[:rapid.IntRange(0, 2).Draw(t, label+" sidecars")] {
		g.Containers = append(g.Containers, spec.Container{Name: name, Role: spec.Sidecar, Probes: anyProbes(t, label+" "+name, "ready")})
		if i == 1 && rapid.Bool().Draw(t, label+" one after the other") {
			g.Containers[len(g.Containers)-2].After = []string{"store"}
		}
	}
	for _, name := range []string{"api", "web"}[:rapid.IntRange(1, 2).Draw(t, label+" apps")] {
		g.Containers = append(g.Containers, spec.Container{Name: name, Role: spec.App})
	}
	for i := range g.Containers {
		c := &g.Containers[i]
		c.Image = rapid.SampledFrom([]string{"a:1", "b:1"}).Draw(t, label+" image of "+c.Name)
		c.Stop = hosttest.Grace(rapid.IntRange(1, 2).Draw(t, label+" grace of "+c.Name))
		if c.Role == spec.App {
			c.Probes = anyProbes(t, label+" "+c.Name, "live")
		}
		if len(g.Volumes) > 0 && rapid.Bool().Draw(t, label+" mount of "+c.Name) {
			c.Mounts = []spec.Mount{{Volume: "logs", Path: "/logs"}}
		}
	}
	return hosttest.Digested(g)
}

// anyProbes draws a probe of a kind, or none.
func anyProbes(t *rapid.T, label, kind string) []spec.Probe {
	if rapid.Bool().Draw(t, label+" has a probe") {
		return nil
	}
	return []spec.Probe{{Kind: kind, Failures: 1, Successes: 1}}
}

// anyRestarts draws the policies for containers that end.
func anyRestarts(t *rapid.T, g *spec.Group) *spec.Group {
	if g == nil {
		return nil
	}
	for i := range g.Containers {
		c := &g.Containers[i]
		c.Restart.Policy = rapid.SampledFrom([]spec.RestartPolicy{
			spec.RestartAlways, spec.RestartOnFailure, spec.RestartNever,
		}).Draw(t, "policy of "+c.Name)
		c.OnFailure = rapid.SampledFrom([]spec.OnFailure{
			spec.FailureRestarts, spec.FailureStopsGroup, spec.FailureIgnored,
		}).Draw(t, "failure of "+c.Name)
	}
	return hosttest.Digested(g)
}

// anyTimeout draws a timeout for a job.
func anyTimeout(t *rapid.T, g *spec.Group) *spec.Group {
	if g == nil || g.Unending() != nil {
		return g
	}
	g.Timeout = time.Duration(rapid.SampledFrom([]int{0, 1, 60}).Draw(t, "timeout")) * time.Second
	return hosttest.Digested(g)
}

// anyDesired draws a group or, now and then, nil: the group is to be removed.
func anyDesired(t *rapid.T, label string) *spec.Group {
	if rapid.IntRange(0, 4).Draw(t, label+" gone") == 0 {
		return nil
	}
	return anyGroup(t, label)
}

func TestAnyGroupBecomesAnyOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHarness()
		a, b := anyDesired(t, "a"), anyDesired(t, "b")
		for _, want := range []*spec.Group{a, b} {
			if _, err := h.converge("g", want); err != nil {
				t.Fatalf("%v", err)
			}
			if _, steps := h.plan("g", want); len(steps) > 0 {
				t.Fatalf("a second plan is not empty: %q", plan.Texts(steps))
			}
		}
		h.check(t)
		expect := ""
		if b != nil {
			expect = freshHost(t, b)
		}
		if diff := cmp.Diff(strings.TrimSpace(expect), strings.TrimSpace(h.host.String())); diff != "" {
			t.Fatalf("the host is not as if b had been the first (-first +now):\n%s", diff)
		}
	})
}

func TestUnchangedContainersAreNotTouched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHarness()
		a, b := anyGroup(t, "a"), anyGroup(t, "b")
		if _, err := h.converge("g", a); err != nil {
			t.Fatalf("%v", err)
		}
		before := map[string]uint32{}
		for _, c := range a.Containers {
			before[c.Name] = h.host.PID("g", c.Name)
		}
		if _, err := h.converge("g", b); err != nil {
			t.Fatalf("%v", err)
		}
		for _, c := range b.Containers {
			old := a.Container(c.Name)
			if old != nil && old.Digest == c.Digest && h.host.PID("g", c.Name) != before[c.Name] {
				t.Fatalf("%s was replaced although nothing in it changed", c.Name)
			}
		}
	})
}

func TestConvergesAfterOneFailureAnywhere(t *testing.T) {
	for _, fault := range hosttest.Operations() {
		t.Run(fault, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				h := newHarness()
				if _, err := h.converge("g", anyDesired(t, "a")); err != nil {
					t.Fatalf("%v", err)
				}
				if rapid.Bool().Draw(t, "done, and the answer is lost") {
					h.host.FailNextDone(fault, errFault)
				} else {
					h.host.FailNext(fault, errFault)
				}
				if _, err := h.converge("g", anyDesired(t, "b")); err != nil {
					t.Fatalf("%v", err)
				}
				h.check(t)
			})
		})
	}
}

func TestKeeperKilledBetweenAnyTwoSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHarness()
		b := anyDesired(t, "b")
		if _, err := h.converge("g", anyDesired(t, "a")); err != nil {
			t.Fatalf("%v", err)
		}
		_, steps := h.plan("g", b)
		n := rapid.IntRange(0, len(steps)).Draw(t, "steps before the kill")
		if err := h.act(steps, n); err != nil {
			t.Fatalf("%v", err)
		}
		if n < len(steps) { // the step in progress may be half done
			half := steps[n]
			half.Targets = half.Targets[:len(half.Targets)/2]
			if len(half.Targets) > 0 {
				_ = h.act([]plan.Step{half}, 1)
			}
		}
		h.nextKeeper()
		c := anyDesired(t, "c")
		if rapid.Bool().Draw(t, "the same is wanted") {
			c = b
		}
		if _, err := h.converge("g", c); err != nil {
			t.Fatalf("%v", err)
		}
		h.check(t)
	})
}
