package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
)

// maxNotReady is how long a call waits for a group whose probes keep it from being ready, or one of
// whose steps fails for now. A script that applies a file must come to an end. If the group has a
// health_timeout, that decides instead about the probes. maxNotReady is also the default
// health_timeout of auto_revert.
const maxNotReady = 2 * time.Minute

// maxUnknown is how long a call waits for states that are unknown for now. A shim that makes the
// containers of many groups at once may not answer in time.
const maxUnknown = 20 * time.Second

// A request waits for the result of the first reconciliation that began with seq or later.
type request struct {
	waiter      *Waiter
	seq         int
	since       time.Time
	lastWaiting string // the last line that it got about what the group waits for
	failure     error  // why the request fails. Nil: it gets the result of the reconciliation

	ends map[string]time.Time // by container, the last end that was reported to it
}

// addRequest needs mu.
func (r *Runner) addRequest(waiter *Waiter) {
	r.seq++
	if waiter != nil {
		r.requests = append(r.requests, request{waiter: waiter, seq: r.seq, since: r.config.Now()})
	}
	r.Wake(WakeWanted)
}

// FailWaiters makes all present requests fail with why when they end, independently of what
// reconciliation finds.
func (r *Runner) FailWaiters(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.requests {
		r.requests[i].failure = why
	}
}

// buildsUntil returns until when a step that fails for now is tried again before the requests up to
// seq get its error. It is zero if there is no such request.
func (r *Runner) buildsUntil(seq int) (end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.requests {
		if until := q.since.Add(maxNotReady); q.seq <= seq && (end.IsZero() || until.Before(end)) {
			end = until
		}
	}
	return end
}

// noteUnknown notes since when something of what runs is unknown. why is the reason, or nil.
func (r *Runner) noteUnknown(in plan.Input, why error) {
	switch {
	case why == nil || in.ToRun() == nil:
		r.unknownSince = time.Time{}
	case r.unknownSince.IsZero():
		r.unknownSince = in.Now
	}
}

// awaitKnown lets the requests up to seq wait for what is unknown for now, each for maxUnknown, and
// reports why to them, once. The others end with o. next is when another one has waited for so
// long. It is zero if none waits.
func (r *Runner) awaitKnown(in plan.Input, seq int, why error, o Result) (next time.Time) {
	if r.unknownSince.IsZero() {
		return next
	}
	line := hint.OneLine(why.Error()) + "; looking again"
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []request
	for _, q := range r.requests {
		end := r.unknownSince.Add(maxUnknown)
		if q.since.After(r.unknownSince) {
			end = q.since.Add(maxUnknown)
		}
		switch {
		case q.seq > seq:
		case !end.After(in.Now):
			q.end(r.group, o)
			continue
		case next.IsZero() || end.Before(next):
			next = end
		}
		if q.seq <= seq && q.lastWaiting != line {
			q.waiter.addLine(r.group, "%s", line)
			q.lastWaiting = line
		}
		rest = append(rest, q)
	}
	r.requests = rest
	return next
}

// end gives the request its result.
func (q request) end(group string, o Result) {
	if q.failure != nil {
		o = Result{State: o.State, Err: q.failure}
	}
	q.waiter.addResult(group, o)
}

// report passes a line to the requests up to seq.
func (r *Runner) report(seq int, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.requests {
		if q.seq <= seq {
			q.waiter.addLine(r.group, format, args...)
		}
	}
}

// withTransfers returns a context whose transfers are passed to the requests up to seq.
func (r *Runner) withTransfers(ctx context.Context, seq int) context.Context {
	return host.WithTransfers(ctx, func(t host.Transfer) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, q := range r.requests {
			if q.seq <= seq {
				q.waiter.addTransfer(t)
			}
		}
	})
}

// reportEnds reports the ends that keep the group from being as wanted to the requests up to seq,
// once each, with the last line of output, which containers have. That line is for the callers
// alone: it may hold secrets, so it gets into no event and no error.
func (r *Runner) reportEnds(in plan.Input, containers []group.ContainerStatus, seq int) {
	ends := plan.Ends(in)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.requests {
		q := &r.requests[i]
		for _, e := range ends {
			if last, reported := q.ends[e.Container]; q.seq > seq || reported && last.Equal(e.At) {
				continue
			}
			if q.ends == nil {
				q.ends = map[string]time.Time{}
			}
			q.ends[e.Container] = e.At
			q.waiter.addLine(r.group, "%s%s", e.Text, LastLine(containers, e.Container))
		}
	}
}

// LastLine returns the last line of a container's output, to be added to its end. It is empty if
// there is none. See reportEnds for where it may go.
func LastLine(containers []group.ContainerStatus, container string) string {
	for _, c := range containers {
		if c.Name != container {
			continue
		}
		for _, line := range slices.Backward(c.LastOutput) {
			if text := hint.Line(line, hint.Long); text != "" {
				if why := group.ExplainOutput([]string{line}); why != "" {
					text += " (" + why + ")"
				}
				return "; its last output: " + text
			}
		}
	}
	return ""
}

// finish ends the requests up to seq.
func (r *Runner) finish(seq int, o Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []request
	for _, q := range r.requests {
		if q.seq > seq {
			rest = append(rest, q)
			continue
		}
		q.end(r.group, o)
	}
	r.requests = rest
}

// notifyWaiting reports what the group waits for to the requests up to seq, once each. It ends the
// requests that have waited for maxNotReady. The group goes on. next is when it has to end another
// request. A zero next means never: no probe keeps the group from being ready, as while an init
// runs, or the rollout of the generation decides.
func (r *Runner) notifyWaiting(in plan.Input, seq int, state group.State, waits string) (next time.Time) {
	advice := plan.WaitingHint(in)
	switch {
	case advice == "" || r.rollout.Undecided(in.Update()):
		r.notReadySince = time.Time{}
	case r.notReadySince.IsZero():
		r.notReadySince = in.Now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []request
	for _, q := range r.requests {
		if q.seq <= seq {
			if q.lastWaiting != waits {
				q.waiter.addLine(r.group, "%s", waits)
				q.lastWaiting = waits
			}
			if !r.notReadySince.IsZero() {
				end := r.notReadySince.Add(maxNotReady)
				if q.since.After(r.notReadySince) {
					end = q.since.Add(maxNotReady)
				}
				if !end.After(in.Now) {
					err := &hint.Error{Err: fmt.Errorf("not ready after %s: %s", maxNotReady, waits), Hint: advice + "; the group goes on, and will be ready when its probes say so"}
					q.waiter.addResult(r.group, Result{State: state, Err: err})
					continue
				}
				if next.IsZero() || end.Before(next) {
					next = end
				}
			}
		}
		rest = append(rest, q)
	}
	r.requests = rest
	return next
}
