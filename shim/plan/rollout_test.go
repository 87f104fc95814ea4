package plan_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

func TestRollout(t *testing.T) {
	const s = time.Second
	var (
		good    = plan.RolloutSample{Known: true, Ready: true}
		bad     = plan.RolloutSample{Known: true}
		blind   = plan.RolloutSample{}
		done    = plan.RolloutSample{Known: true, Ready: true, Ended: true}
		failed  = plan.RolloutSample{Known: true, Ended: true}
		stopped = plan.RolloutSample{Known: true, Stopped: true}
		givenUp = plan.RolloutSample{Known: true, GiveUp: errors.New("web (app) ended 3 times")}
	)
	type sample struct {
		at   time.Duration
		gen  int
		seen plan.RolloutSample
	}
	verdicts := map[plan.RolloutVerdict]string{plan.RolloutHealthy: "proved", plan.RolloutLate: "too late"}
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		samples []sample
		want    []string // after each sample: "" for undecided
	}{
		{"without a limit, ready for half a second", 0, []sample{{0, 1, bad}, {time.Hour, 1, good}, {time.Hour + s/2, 1, good}, {2 * time.Hour, 1, bad}}, []string{"", "", "proved", ""}},
		{"without a limit, with an early end", 0, []sample{{0, 1, good}, {s / 4, 1, bad}, {s, 1, good}, {s + s/4, 1, good}, {s + s/2, 1, good}}, []string{"", "", "", "", "proved"}},
		{"ready for long enough", time.Minute, []sample{{0, 1, bad}, {s, 1, good}, {2 * s, 1, good}, {3 * s, 1, good}, {4 * s, 1, bad}}, []string{"", "", "", "proved", ""}},
		{"ready, and not for long", time.Minute, []sample{{0, 1, good}, {s, 1, bad}, {2 * s, 1, good}, {3 * s, 1, good}, {4 * s, 1, good}}, []string{"", "", "", "", "proved"}},
		{"a short limit asks for less", 2 * s, []sample{{0, 1, good}, {s, 1, good}}, []string{"", "proved"}},
		{"too late, once", 10 * s, []sample{{0, 1, bad}, {9 * s, 1, bad}, {10 * s, 1, bad}, {11 * s, 1, bad}}, []string{"", "", "too late", ""}},
		{"ready when time is up", 10 * s, []sample{{0, 1, bad}, {9 * s, 1, good}, {11 * s, 1, good}}, []string{"", "", "proved"}},
		{"too late, and then it is", 10 * s, []sample{{0, 1, bad}, {10 * s, 1, bad}, {20 * s, 1, good}, {22 * s, 1, good}}, []string{"", "too late", "", "proved"}},
		{"the next generation begins again", 10 * s, []sample{{0, 1, bad}, {9 * s, 2, bad}, {18 * s, 2, bad}, {19 * s, 2, bad}}, []string{"", "", "", "too late"}},
		{"a time without observation does not count", 10 * s, []sample{{0, 1, bad}, {9 * s, 1, blind}, {18 * s, 1, bad}, {19 * s, 1, bad}}, []string{"", "", "", "too late"}},
		{"a job that is done", 10 * s, []sample{{0, 1, bad}, {s, 1, done}}, []string{"", "proved"}},
		{"a job that is done, without a limit", 0, []sample{{0, 1, done}}, []string{"proved"}},
		{"a job that failed", 10 * s, []sample{{0, 1, bad}, {s, 1, failed}}, []string{"", "too late"}},
		{"given up, once", time.Minute, []sample{{0, 1, bad}, {s, 1, givenUp}, {2 * s, 1, givenUp}, {time.Hour, 1, bad}}, []string{"", "too late", "", ""}},
		{"given up, and then it is ready", time.Minute, []sample{{0, 1, givenUp}, {s, 1, good}, {3 * s, 1, good}}, []string{"too late", "", "proved"}},
		{"without a limit nothing is given up", 0, []sample{{0, 1, givenUp}, {s, 1, good}, {2 * s, 1, good}}, []string{"", "", "proved"}},
		{"what can't be observed is not given up", time.Minute, []sample{{0, 1, plan.RolloutSample{GiveUp: givenUp.GiveUp}}}, []string{""}},
		{"nor does a time while it is stopped", 10 * s, []sample{{0, 1, bad}, {9 * s, 1, stopped}, {time.Hour, 1, bad}, {time.Hour + 10*s, 1, bad}}, []string{"", "", "", "too late"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			var rollout plan.Rollout
			var got []string
			for _, l := range tt.samples {
				var v plan.RolloutVerdict
				rollout, v = rollout.Observe(l.gen, spec.Update{HealthTimeout: tt.timeout}, l.seen, began.Add(l.at))
				got = append(got, verdicts[v])
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
}

// The ends that count are those since the rollout began, of containers that have to run.
func TestRolloutGivesUp(t *testing.T) {
	digest := func(g *spec.Group, name string) string { return g.Container(name).Digest }
	checkout := func(edits ...func(*spec.Group)) *spec.Group {
		return hosttest.Checkout(append(edits, func(g *spec.Group) { g.Update.MaxEnds = 2 })...)
	}
	never := hosttest.EditContainer("web", hosttest.Policy(spec.RestartNever))
	ignored := hosttest.EditContainer("web", func(c *spec.Container) { c.OnFailure = spec.FailureIgnored })
	for _, tt := range []struct {
		name   string
		want   *spec.Group
		before []int // the ends in a row at earlier observations of the rollout. -1: they can't be read
		ends   int
		status uint32
		result string
	}{
		{"the first end", checkout(), []int{0}, 1, 1, ""},
		{"the second", checkout(), []int{0, 1}, 2, 1, "web (app) ended 2 times, the last time with status 1"},
		{"the second by default", hosttest.Checkout(), []int{0, 1}, 2, 1, ""},
		{"the third by default", hosttest.Checkout(), []int{0, 1}, 3, 1, "web (app) ended 3 times, the last time with status 1"},
		{"the first in the rollout", checkout(), []int{7}, 8, 1, ""},
		{"the second in the rollout", checkout(), []int{7}, 9, 1, "web (app) ended 2 times, the last time with status 1"},
		{"the first since a restart by an operator", checkout(), []int{7, 0}, 1, 1, ""},
		{"the second since then", checkout(), []int{7, 8, 0}, 2, 1, "web (app) ended 2 times, the last time with status 1"},
		{"the first since the records can be read", checkout(), []int{-1, 7}, 8, 1, ""},
		{"good ends, with restarts", checkout(), []int{0}, 2, 0, "web (app) ended 2 times, the last time with status 0"},
		{"a good end for good", checkout(never), []int{0}, 1, 0, ""},
		{"a bad end for good", checkout(never), []int{0}, 1, 1, "web (app) ended with status 1"},
		{"ends that are ignored", checkout(ignored), []int{0}, 9, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := plan.Input{Want: tt.want, Observed: running(tt.want), Now: noon}
			record := func(ends int) restart.Records {
				return restart.Records{"web": {Digest: digest(tt.want, "web"), EndsInARow: ends}}
			}
			var rollout plan.Rollout
			for _, ends := range tt.before {
				if in.Records, in.EndedErr = record(max(ends, 0)), nil; ends < 0 {
					in.EndedErr = errors.New("not readable")
				}
				rollout = rollout.Follow(2, in)
			}
			in.Observed, in.Records = seen(tt.want, task("web", host.TaskStopped, tt.status)), record(tt.ends)
			rollout = rollout.Follow(2, in)
			if got := hint.Text(rollout.GiveUp(in)); got != tt.result {
				t.Errorf("%q, want %q", got, tt.result)
			}
			next := rollout.Follow(3, in)
			if got := next.GiveUp(in); got != nil && tt.want.Container("web").Restart.Policy != spec.RestartNever {
				t.Errorf("the next generation is given up at once: %v", got)
			}
		})
	}
}
