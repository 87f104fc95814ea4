package probes

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

var errRefused = errors.New("connection refused")

// tries applies tries given as signs: "+" a success, "-" a failure that counts, "." a failure that
// does not.
func tries(p *spec.Probe, signs string) threshold {
	var th threshold
	for _, sign := range signs {
		switch sign {
		case '+':
			th = th.counted(p, nil)
		case '-':
			th = th.counted(p, errRefused)
		default:
			th = th.uncounted(errRefused)
		}
	}
	return th
}

func TestThreshold(t *testing.T) {
	for _, tt := range []struct {
		name, kind, tries string
		failures          int
		successes         int
		want              verdict
		decided           bool
	}{
		{"nothing tried", "ready", "", 3, 1, undecided, false},
		{"ready at once", "ready", "+", 3, 1, good, false},
		{"ready only after successes in a row", "ready", "+-++", 3, 3, undecided, false},
		{"ready after them", "ready", "+-+++", 3, 3, good, false},
		{"failures that don't count", "ready", "......", 3, 1, undecided, false},
		{"ready, then failures too few", "ready", "+--", 3, 1, good, false},
		{"failures not in a row", "ready", "+--+--", 3, 1, good, false},
		{"a try that doesn't count breaks no row", "ready", "+--.-", 3, 1, bad, false},
		{"not ready any more", "ready", "+---", 3, 1, bad, false},
		{"ready again", "ready", "+---+", 3, 1, good, false},
		{"not ready again at once", "ready", "+---+", 3, 2, bad, false},
		{"never ready", "ready", "---", 3, 1, bad, false},
		{"started", "startup", "--+", 3, 1, good, true},
		{"did not start", "startup", "---", 3, 1, bad, true},
		{"not started yet", "startup", "--", 3, 1, undecided, false},
		{"lives", "live", "+", 3, 1, good, false},
		{"lives on", "live", "+--+--", 3, 1, good, false},
		{"is dead", "live", "---", 3, 1, bad, true},
		{"dies at the first failure", "live", "+-", 1, 1, bad, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &spec.Probe{Kind: tt.kind, Failures: tt.failures, Successes: tt.successes}
			th := tries(p, tt.tries)
			if th.verdict != tt.want || th.decided(p) != tt.decided {
				t.Errorf("verdict %d, decided %v; want %d, %v", th.verdict, th.decided(p), tt.want, tt.decided)
			}
		})
	}
}

// The last series of equal results that was long enough decides, however long ago it was.
func TestThresholdIsItsLastLongSeries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &spec.Probe{
			Kind: "ready", Failures: rapid.IntRange(1, 4).Draw(t, "failures"), Successes: rapid.IntRange(1, 4).Draw(t, "successes"),
		}
		signs := rapid.StringMatching(`[-+.]{0,40}`).Draw(t, "tries")
		counted := strings.ReplaceAll(signs, ".", "")
		bads := strings.LastIndex(counted, strings.Repeat("-", p.Failures)) + p.Failures
		goods := strings.LastIndex(counted, strings.Repeat("+", p.Successes)) + p.Successes
		want := undecided
		switch {
		case bads >= p.Failures && bads > goods, bads >= p.Failures && goods < p.Successes:
			want = bad
		case goods >= p.Successes:
			want = good
		}
		if got := tries(p, signs).verdict; got != want {
			t.Errorf("verdict %d, want %d", got, want)
		}
	})
}

func TestCombine(t *testing.T) {
	startup := spec.Probe{Kind: "startup", Failures: 2, Successes: 1}
	ready := spec.Probe{Kind: "ready", Failures: 2, Successes: 2}
	live := spec.Probe{Kind: "live", Failures: 2, Successes: 1}
	for _, tt := range []struct {
		name   string
		probes []spec.Probe
		tries  []string
		want   host.Health
	}{
		{"no probes", nil, nil, host.Health{Started: true, Ready: true}},
		{"not asked yet", []spec.Probe{ready}, []string{""}, host.Health{Started: true, Pending: true, Reason: "its ready probe has not answered yet"}},
		{"not ready", []spec.Probe{ready}, []string{"-"}, host.Health{Started: true, Pending: true, Reason: "its ready probe failed: connection refused"}},
		{"not ready for long", []spec.Probe{ready}, []string{"--"}, host.Health{Started: true, Reason: "its ready probe failed 2 times in a row: connection refused"}},
		{"nearly ready", []spec.Probe{ready}, []string{"+"}, host.Health{Started: true, Pending: true, Reason: "its ready probe has succeeded 1 of 2 times in a row"}},
		{"ready", []spec.Probe{ready, live}, []string{"++", "+"}, host.Health{Started: true, Ready: true}},
		{"ready, and one failure is not reported", []spec.Probe{ready, live}, []string{"++-", "+-"}, host.Health{Started: true, Ready: true}},
		{"starting", []spec.Probe{startup, ready}, []string{".", ""}, host.Health{Pending: true, Reason: "its startup probe failed: connection refused"}},
		{"started", []spec.Probe{startup, ready}, []string{"+", "++"}, host.Health{Started: true, Ready: true}},
		{"did not start", []spec.Probe{startup, ready, live}, []string{"--", "", ""}, host.Health{Failed: true, Reason: "its startup probe failed 2 times in a row: connection refused"}},
		{"dead and not ready", []spec.Probe{startup, ready, live}, []string{"+", "++--", "--"}, host.Health{Started: true, Failed: true, Reason: "its live probe failed 2 times in a row: connection refused"}},
		{"dead while ready", []spec.Probe{live}, []string{"--"}, host.Health{Started: true, Ready: true, Failed: true, Reason: "its live probe failed 2 times in a row: connection refused"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			thresholds := make([]threshold, len(tt.probes))
			for i := range tt.probes {
				thresholds[i] = tries(&tt.probes[i], tt.tries[i])
			}
			if diff := cmp.Diff(tt.want, combine(tt.probes, thresholds)); diff != "" {
				t.Errorf("health (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSchedule(t *testing.T) {
	ms := time.Millisecond
	for _, tt := range []struct {
		name, kind string
		signs      string // the results of the tries; the last is repeated
		interval   time.Duration
		took       time.Duration // each try
		want       []time.Duration
	}{
		{
			"a ready probe that fails is tried in between", "ready", "-", 2 * time.Second, 0,
			[]time.Duration{0, 50 * ms, 150 * ms, 350 * ms, 750 * ms, 1550 * ms, 2000 * ms, 4000 * ms, 6000 * ms},
		},
		{"one that succeeds is not", "ready", "+", 2 * time.Second, 0, []time.Duration{0, 2000 * ms, 4000 * ms}},
		{"nor one that has succeeded", "ready", "+-", 2 * time.Second, 0, []time.Duration{0, 2000 * ms, 4000 * ms}},
		{
			"one that runs a program less often", "exec", "-", 2 * time.Second, 0,
			[]time.Duration{0, 250 * ms, 750 * ms, 1750 * ms, 2000 * ms, 4000 * ms},
		},
		{"a startup probe is", "startup", "-", 300 * ms, 0, []time.Duration{0, 50 * ms, 150 * ms, 300 * ms, 600 * ms}},
		{"a live probe is not", "live", "-", 300 * ms, 0, []time.Duration{0, 300 * ms, 600 * ms}},
		{"a slow try delays no other", "live", "+", 300 * ms, 200 * ms, []time.Duration{0, 300 * ms, 600 * ms}},
		{"one longer than the interval is followed at once", "live", "+", 300 * ms, 500 * ms, []time.Duration{0, 500 * ms, 1000 * ms}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &spec.Probe{Kind: tt.kind, Interval: tt.interval, Failures: 1000}
			if tt.kind == "exec" {
				p.Kind, p.Exec = "ready", []string{"check"}
			}
			start := time.Unix(0, 0)
			at, sched := start, schedule{due: start}
			var th threshold
			var got []time.Duration
			for i := range tt.want {
				got = append(got, at.Sub(start))
				counted := !at.Before(sched.due)
				if tt.signs[min(i, len(tt.signs)-1)] == '+' {
					th = th.counted(p, nil)
				} else if counted {
					th = th.counted(p, errRefused)
				} else {
					th = th.uncounted(errRefused)
				}
				at, sched = sched.next(p, th, counted, at, at.Add(tt.took))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("tries (-want +got):\n%s", diff)
			}
		})
	}
}
