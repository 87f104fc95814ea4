package keeper

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A run is a group that is made from a template, runs once and is removed. [group.RunState] has its
// states. Its group has a runner, as any other. Its definition is not in the store but in the run
// folder, so a boot forgets it, and no load of the group files touches it.
//
// Its goroutine is keepRun. All others change it under mu, and close one of its channels.
type run struct {
	id         string
	definition spec.Group // nothing of a run that is over
	app        string
	input      bool
	keep       bool
	template   string             // of errors
	locked     group.ImageDigests // of a lock file

	turn    chan struct{} // closed when it may start
	started chan struct{} // closed when its app starts
	ended   chan struct{} // closed when its app has ended for good
	ending  chan struct{} // closed when it is to be removed
	over    chan struct{} // closed when its result is known
	gone    chan struct{} // closed when its group is gone
	settled chan struct{} // closed when nothing of it is left, and nothing will be done for it
	writing chan struct{} // its holder writes to the app's standard input

	// Guarded by the keeper's mu.
	claims bool // its ports are its own

	mu      sync.Mutex
	now     group.Run
	notRun  bool     // a step that builds its group has failed
	lines   []string // of progress, the last ones
	earlier int      // lines that are not kept any more
	changed chan struct{}
	callers int
	away    *time.Timer // ends it if no caller comes
}

// mostLines is how many lines of progress are kept for callers.
const mostLines = 200

func newRun(r group.Run, g spec.Group) *run {
	x := &run{
		id: r.ID, definition: g, app: r.App, template: r.Group, now: r,
		turn: make(chan struct{}), started: make(chan struct{}), ended: make(chan struct{}), ending: make(chan struct{}),
		over: make(chan struct{}), gone: make(chan struct{}), settled: make(chan struct{}), writing: make(chan struct{}, 1),
	}
	return x
}

// overRun returns a run that has left nothing but its result.
func overRun(r group.Run) *run {
	x := newRun(r, spec.Group{})
	for _, c := range []chan struct{}{x.turn, x.started, x.ended, x.ending, x.over, x.gone, x.settled} {
		close(c)
	}
	return x
}

// closed reports whether a channel is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// status returns what is known of the run.
func (r *run) status() group.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// change changes what is known of the run, and returns it.
func (r *run) change(do func(now *group.Run)) group.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.now
	do(&r.now)
	if r.now.State != before.State || r.now.Place != before.Place {
		r.notify()
	}
	return r.now
}

// notify wakes those who watch the run. The caller holds mu.
func (r *run) notify() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// addLine adds a line of progress.
func (r *run) addLine(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	if n := len(r.lines) - mostLines; n > 0 {
		r.lines, r.earlier = r.lines[n:], r.earlier+n
	}
	r.notify()
}

// start notes that the app starts.
func (r *run) start(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if closed(r.started) || closed(r.over) {
		return
	}
	r.now.State, r.now.Started = group.RunRunning, at
	close(r.started)
	r.notify()
}

// end has the run removed. why is the reason, unless the run has one already, or its app has ended.
// A nil why is no failure.
func (r *run) end(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if closed(r.ending) {
		return
	}
	if why != nil && r.now.Error == "" && !closed(r.ended) && !closed(r.over) {
		r.now.Error, r.now.Hint, r.now.Code = hint.OneLine(why.Error()), hint.Of(why), codeOf(why)
	}
	close(r.ending)
}

// codeOf returns the code of an error about the app's program.
func codeOf(err error) string {
	switch {
	case errors.Is(err, host.ErrNoProgram):
		return group.RunNoProgram
	case errors.Is(err, host.ErrCannotRun):
		return group.RunCannotRun
	}
	return ""
}

// endWith notes how the app has ended.
func (r *run) endWith(e *group.Ended) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if closed(r.ended) {
		return
	}
	close(r.ended)
	now := &r.now
	now.Ended = e.At
	x, exited := e.Exits[r.app]
	if exited {
		now.ExitStatus, now.OOMKilled = &x.Status, x.OOMKilled
	}
	if now.Error != "" {
		return
	}
	err := e.Problem(&r.definition)
	switch {
	case err == nil:
	case e.Timeout != 0:
		now.TimedOut, now.Error = true, hint.OneLine(err.Error())
	case e.Lost != "":
		now.State, now.ExitStatus = group.RunLost, nil
		now.Error, now.Hint = hint.OneLine(err.Error()), hint.Of(err)
	case !exited || x.ProbeFailure != "" || e.Bound != nil || e.By != "" && e.By != r.app:
		now.Error, now.Hint = hint.OneLine(err.Error()), "" // what to do about a group does not hold
	}
	r.notify()
}

// finish makes the result known, and returns it.
func (r *run) finish(at time.Time) group.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := &r.now
	if closed(r.over) {
		return *now
	}
	now.Place, now.Kept = 0, now.Kept && !closed(r.ending)
	switch {
	case now.State == group.RunLost:
	case closed(r.started) && !r.notRun, now.ExitStatus != nil && now.Error == "":
		// An exit status without an error is that of an app that has run: a start can fail because
		// a daemon that was killed had made it.
		now.State = group.RunEnded
	default:
		now.State, now.Started = group.RunNotRun, time.Time{}
		now.Error = cmp.Or(now.Error, "it was ended before its app ran")
	}
	if now.Ended.IsZero() {
		now.Ended = at
	}
	close(r.over)
	r.notify()
	if r.away != nil {
		r.away.Stop()
	}
	return *now
}

// join adds a caller.
func (r *run) join() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.callers++
	if r.away != nil {
		r.away.Stop()
	}
}

// leave takes a caller away. Without one, a run that is not detached ends after grace.
func (r *run) leave(grace time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.callers--; r.callers == 0 {
		r.waitForCaller(grace)
	}
}

// waitForCaller ends the run unless a caller comes in time. The caller of this holds mu.
func (r *run) waitForCaller(grace time.Duration) {
	if r.now.Detached || closed(r.over) {
		return
	}
	if r.away != nil {
		r.away.Stop()
	}
	r.away = time.AfterFunc(grace, func() {
		r.mu.Lock()
		alone := r.callers == 0
		r.mu.Unlock()
		if alone {
			r.end(&hint.Error{Err: errors.New("its caller went away"), Hint: "\"sallyport run --detach\" lets a run go on without its caller"})
		}
	})
}

// errNoGroup is ErrNoGroup, with what there is of the group if it is that of a run. The caller
// holds mu.
func (k *Keeper) errNoGroup(name string) error {
	if k.runs.all[name] == nil {
		return group.ErrNoGroup
	}
	return &hint.Error{
		Err:  fmt.Errorf("group %q: %w", name, group.ErrNoGroup),
		Hint: fmt.Sprintf("it is a run, and has no group now: \"sallyport run ls\" has what became of it, and \"sallyport logs %s\" what it printed", name),
	}
}

// errRun refuses a verb that makes no sense for a run.
func errRun(id, verb string) error {
	return &hint.Error{
		Err:  fmt.Errorf("%s is a run: it can't be %s", id, verb),
		Hint: fmt.Sprintf("\"sallyport stop %s\" ends it, and \"sallyport run\" runs its template again", id),
	}
}
