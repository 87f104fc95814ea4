package shim

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A verdict is what a probe's tries have come to.
type verdict int

const (
	undecided verdict = iota
	good
	bad
)

// A streak is what one probe has said since its container started. What turns it are tries in a row that came out alike:
//
//	              successes
//	undecided ───────────────► good ─┐
//	    │                       ▲    │ failures
//	    │ failures              │    │ (a live or ready probe)
//	    │             successes │    ▼
//	    └─────────────────────► bad ◄┘
//	                 (a ready probe alone)
//
// A startup probe is not tried again once it is decided, nor a live probe that is bad. The zero value is one not tried yet.
type streak struct {
	verdict verdict
	ok      bool // how the last try that counted came out
	row     int  // tries that came out so, without another between
	said    error
}

// tried returns the streak with a try added; nil is a success.
func (s streak) tried(p *spec.Probe, err error) streak {
	if ok := err == nil; ok != s.ok || s.row == 0 {
		s.ok, s.row = ok, 0
	}
	s.row++
	s.said = err
	switch {
	case s.ok && s.row >= max(p.Successes, 1):
		s.verdict = good
	case !s.ok && s.row >= max(p.Failures, 1):
		s.verdict = bad
	}
	return s
}

// uncounted returns the streak with what a try said that counts for nothing: one between two that count, or one that could not
// be made.
func (s streak) uncounted(err error) streak {
	s.said = err
	return s
}

// decided says that the probe need not be tried again.
func (s streak) decided(p *spec.Probe) bool {
	switch p.Kind {
	case spec.ProbeStartup:
		return s.verdict != undecided
	case spec.ProbeLive:
		return s.verdict == bad
	default:
		return false
	}
}

// healthOf is what a container's probes say together. The streaks are the probes', in their order.
func healthOf(probes []spec.Probe, streaks []streak) Health {
	h := Health{Started: true, Ready: true}
	for i := range probes {
		p, s := &probes[i], streaks[i]
		switch {
		case p.Kind == spec.ProbeStartup && s.verdict != good:
			h.Started, h.Ready = false, false
			h.Undecided = s.verdict == undecided
		case p.Kind == spec.ProbeReady && s.verdict != good:
			h.Undecided = s.verdict == undecided && (h.Ready || h.Undecided)
			h.Ready = false
		case p.Kind != spec.ProbeLive || s.verdict != bad:
			continue
		}
		if p.Kind != spec.ProbeReady && s.verdict == bad {
			h.Dead = true
		}
		if h.Said == "" || h.Dead && p.Kind == spec.ProbeLive { // why it is dead says more than why it isn't ready
			h.Said = s.text(p)
		}
	}
	return h
}

// text is why the probe is not good, in an operator's words.
func (s streak) text(p *spec.Probe) string {
	switch {
	case s.said == nil && s.row == 0:
		return fmt.Sprintf("its %s probe has not answered yet", p.Kind)
	case s.said == nil:
		return fmt.Sprintf("its %s probe has succeeded %d of %d times in a row", p.Kind, s.row, p.Successes)
	case s.verdict == bad && min(s.row, p.Failures) > 1: // a number that grows would be news each time
		return fmt.Sprintf("its %s probe failed %d times in a row: %s", p.Kind, min(s.row, p.Failures), oneLine(s.said.Error()))
	default:
		return fmt.Sprintf("its %s probe failed: %s", p.Kind, oneLine(s.said.Error()))
	}
}

// A beat is when one probe is tried. The tries that count are an interval apart. A container that has only just started is
// seldom ready for the first of them, and must not wait for the second: until a startup or ready probe has succeeded once, it is
// tried in between as well, with growing pauses, and a failure of these counts for nothing.
type beat struct {
	due   time.Time     // of the next try that counts
	early time.Duration // the pause before the next try in between
}

// The first of these pauses: about what a small program takes from its start until it listens, and longer where asking means to run
// a program, while the host is busy with starting others.
const (
	firstPause     = 50 * time.Millisecond
	firstPauseExec = 250 * time.Millisecond
)

// next is when to try again after one that began and ended then. counted says whether that one did.
func (b beat) next(p *spec.Probe, s streak, counted bool, began, ended time.Time) (time.Time, beat) {
	if counted {
		b.due = later(began.Add(p.Interval), ended)
	}
	if p.Kind == spec.ProbeLive || s.verdict != undecided || s.said == nil {
		return b.due, b
	}
	first := firstPause
	if p.Exec != nil {
		first = firstPauseExec
	}
	b.early = max(2*b.early, first)
	if at := ended.Add(b.early); at.Before(b.due) {
		return at, b
	}
	return b.due, b
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
