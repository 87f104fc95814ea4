package probes

import (
	"cmp"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A verdict is the result of a probe's tries.
type verdict int

const (
	undecided verdict = iota
	good
	bad
)

// A threshold counts the tries of one probe since its container started. Tries in a row with the
// same result change its verdict:
//
//	              successes
//	undecided ───────────────► good ─┐
//	    │                       ▲    │ failures
//	    │ failures              │    │ (a live or ready probe)
//	    │             successes │    ▼
//	    └─────────────────────► bad ◄┘
//	                 (a ready probe alone)
//
// A startup probe is not tried again once it is decided, nor is a live probe that is bad. The zero
// value is a probe that was not tried yet.
type threshold struct {
	verdict verdict
	ok      bool // the result of the last try that counted
	row     int  // how many tries in a row had this result
	lastErr error
}

// counted returns the threshold after one more try. A nil err is a success.
func (t threshold) counted(p *spec.Probe, err error) threshold {
	if ok := err == nil; ok != t.ok || t.row == 0 {
		t.ok, t.row = ok, 0
	}
	t.row++
	t.lastErr = err
	switch {
	case t.ok && t.row >= max(p.Successes, 1):
		t.verdict = good
	case !t.ok && t.row >= max(p.Failures, 1):
		t.verdict = bad
	}
	return t
}

// uncounted returns the threshold after a try that does not count: one between two that count, or
// one that could not be made.
func (t threshold) uncounted(err error) threshold {
	t.lastErr = err
	return t
}

// decided reports whether the probe need not be tried again.
func (t threshold) decided(p *spec.Probe) bool {
	switch p.Kind {
	case spec.ProbeStartup:
		return t.verdict != undecided
	case spec.ProbeLive:
		return t.verdict == bad
	default:
		return false
	}
}

// combine returns the health that a container's probes give together. The thresholds are in the
// order of the probes.
func combine(probes []spec.Probe, thresholds []threshold) host.Health {
	h := host.Health{Started: true, Ready: true}
	for i := range probes {
		p, t := &probes[i], thresholds[i]
		switch {
		case p.Kind == spec.ProbeStartup && t.verdict != good:
			h.Started, h.Ready = false, false
			h.Pending = t.verdict == undecided
		case p.Kind == spec.ProbeReady && t.verdict != good:
			h.Pending = t.verdict == undecided && (h.Ready || h.Pending)
			h.Ready = false
		case p.Kind != spec.ProbeLive || t.verdict != bad:
			continue
		}
		if p.Kind != spec.ProbeReady && t.verdict == bad {
			h.Failed = true
		}
		// Why it failed matters more than why it is not ready.
		if h.Reason == "" || h.Failed && p.Kind == spec.ProbeLive {
			h.Reason = t.text(p)
		}
	}
	return h
}

// text returns, in an operator's words, why the probe is not good.
func (t threshold) text(p *spec.Probe) string {
	switch {
	case t.lastErr == nil && t.row == 0:
		return fmt.Sprintf("its %s probe has not answered yet", p.Kind)
	case t.lastErr == nil:
		return fmt.Sprintf("its %s probe has succeeded %d of %d times in a row", p.Kind, t.row, p.Successes)
	case t.verdict == bad && min(t.row, p.Failures) > 1: // a growing number would be a change each time
		return fmt.Sprintf("its %s probe failed %d times in a row: %s", p.Kind, min(t.row, p.Failures), hint.OneLine(t.lastErr.Error()))
	default:
		return fmt.Sprintf("its %s probe failed: %s", p.Kind, hint.OneLine(t.lastErr.Error()))
	}
}

// A schedule decides when one probe is tried. The tries that count are an interval apart. A
// container that has just started is seldom ready for the first of them, and must not wait for the
// second. So until a startup or ready probe has succeeded once, it is also tried in between, with
// growing pauses. A failure of such a try does not count.
type schedule struct {
	due   time.Time     // of the next try that counts
	early time.Duration // the pause before the next try in between
}

// begin returns when a probe is first tried, and its schedule, which begins in the start period if
// the probe has one. The container started at began. No try is made before soonest. A live probe is
// first tried after the start period: no earlier answer would count.
func begin(p *spec.Probe, began, soonest time.Time) (time.Time, schedule) {
	at := later(began.Add(p.InitialDelay), soonest)
	due := later(began.Add(p.StartPeriod), at)
	if p.Kind == spec.ProbeLive {
		at = due
	}
	return at, schedule{due: due}
}

// startPause is the longest pause between two tries in a start period that sets none: docker's.
const startPause = 5 * time.Second

// The first of these pauses is about what a small program takes from its start until it listens. It
// is longer for an exec probe: a probe that runs a program is slow while the host starts others.
const (
	firstPause     = 50 * time.Millisecond
	firstPauseExec = 250 * time.Millisecond
)

// next returns when to try again after a try that began and ended at these times. counted is
// whether that try counted.
func (s schedule) next(p *spec.Probe, t threshold, counted bool, began, ended time.Time) (time.Time, schedule) {
	if counted {
		s.due = later(began.Add(p.Interval), ended)
	}
	if !counted && t.lastErr == nil { // it was in the start period, which is over
		if at := began.Add(p.Interval); at.Before(s.due) {
			s.due = at
		}
	}
	if p.Kind == spec.ProbeLive || t.verdict != undecided || t.lastErr == nil {
		return s.due, s
	}
	first := firstPause
	if p.Exec != nil {
		first = firstPauseExec
	}
	s.early = max(2*s.early, first)
	if p.StartPeriod > 0 {
		s.early = min(s.early, cmp.Or(p.StartInterval, startPause))
	}
	if at := ended.Add(s.early); at.Before(s.due) {
		return at, s
	}
	return s.due, s
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
