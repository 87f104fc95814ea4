package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/plan"
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
		{"without a limit, at the first sight", 0, []sample{{0, 1, bad}, {time.Hour, 1, bad}, {2 * time.Hour, 1, good}}, []string{"", "", "proved"}},
		{"ready for long enough", time.Minute, []sample{{0, 1, bad}, {s, 1, good}, {2 * s, 1, good}, {3 * s, 1, good}, {4 * s, 1, bad}}, []string{"", "", "", "proved", ""}},
		{"ready, and not for long", time.Minute, []sample{{0, 1, good}, {s, 1, bad}, {2 * s, 1, good}, {3 * s, 1, good}, {4 * s, 1, good}}, []string{"", "", "", "", "proved"}},
		{"a short limit asks for less", 2 * s, []sample{{0, 1, good}, {s, 1, good}}, []string{"", "proved"}},
		{"too late, once", 10 * s, []sample{{0, 1, bad}, {9 * s, 1, bad}, {10 * s, 1, bad}, {11 * s, 1, bad}}, []string{"", "", "too late", ""}},
		{"ready when time is up", 10 * s, []sample{{0, 1, bad}, {9 * s, 1, good}, {11 * s, 1, good}}, []string{"", "", "proved"}},
		{"too late, and then it is", 10 * s, []sample{{0, 1, bad}, {10 * s, 1, bad}, {20 * s, 1, good}, {22 * s, 1, good}}, []string{"", "too late", "", "proved"}},
		{"the next generation begins again", 10 * s, []sample{{0, 1, bad}, {9 * s, 2, bad}, {18 * s, 2, bad}, {19 * s, 2, bad}}, []string{"", "", "", "too late"}},
		{"a time without observation does not count", 10 * s, []sample{{0, 1, bad}, {9 * s, 1, blind}, {18 * s, 1, bad}, {19 * s, 1, bad}}, []string{"", "", "", "too late"}},
		{"a job that is done", 10 * s, []sample{{0, 1, bad}, {s, 1, done}}, []string{"", "proved"}},
		{"a job that failed", 10 * s, []sample{{0, 1, bad}, {s, 1, failed}}, []string{"", "too late"}},
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
