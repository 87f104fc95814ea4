package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/probes"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// A Runner keeps one group. Only the goroutine of Run observes and acts. All others change what is
// wanted, under mu, and wake it.
type Runner struct {
	group    string
	machine  Machine
	config   *Config
	log      *slog.Logger
	owner    Owner
	progress *progress

	wakeWanted, wakeHost, wakeDrift chan struct{} // each holds one, see [Wake]

	observed chan struct{} // closed when status first has an observation
	counts   counts

	mu            sync.Mutex
	desired       desired
	seq           int // of desired: grows by one with each change and each request
	builtSeq      int // seq of the last observation that found all as wanted
	requests      []request
	status        group.Status
	statusChanged chan struct{} // closed when status changes. Nil: nothing waits for it

	// Used only by the goroutine of Run.
	probes         *probes.Group
	records        restart.Records
	restored       bool              // records has what the previous keeper saved
	saved          restart.Records   // as they are on disk. Nil: not known
	saveFailure    string            // why the last save failed. Empty: it did not
	output         map[string]output // by container
	ending         bool              // its output is that of a group whose removal has begun
	endingKnown    bool              // ending was read, or set
	outputFailure  string            // why the last WantOutput failed. Empty: it did not
	notReadySince  time.Time         // since when probes have kept the group from being ready. Zero: they do not
	unknownSince   time.Time         // since when something of what runs is unknown. Zero: all is known
	acted          bool              // a step was tried
	woken          bool              // not by the clock, or it is new
	looked         time.Time         // when the last observation began
	calm           *spec.Group       // what that has found to run, with nothing left to do or to record. Nil: not so
	failures       int               // failed reconciliations in a row
	ignoreHost     bool              // a failed step waits for its retry: our own changes must not wake us
	lastError      error             // of the last finished reconciliation
	recordedState  group.State       // the last state in the journal
	givenUp        map[string]bool   // containers whose attempts were spent at the last look; nil: there was none
	settledSeq     int               // seq of the last reconciliation after which all was as wanted
	drift          []string          // changes by others that are not repaired yet, in an operator's words
	driftReported  bool              // an event has reported that drift is not repaired yet
	connected      *spec.Group       // the definition of the link when last made or observed. Nil: none yet
	rollout        plan.Rollout      // of the wanted generation
	run            run
	secretProblems map[string]string       // by secret, those that an event has
	revertErr      error                   // why a late generation could not be reverted
	reloads        map[string]failedReload // by container, those that have failed
	repairs        repairs
	retained       int // the generation whose images are all retained
	retention      retention
}

// A desired holds what a runner was asked for.
type desired struct {
	wanted    *store.Wanted // nil: remove the group
	was       *spec.Group   // the definition before
	images    map[string]host.Image
	restart   map[string]bool
	reread    bool // the sources of all secrets are read again
	uncopied  Uncopied
	bounds    []host.Bound
	passed    *host.Bound // a soft bound by which the group ends. Nil: none
	purge     bool        // with wanted nil: delete the persistent volumes too
	forgetEnd bool        // forget how the group has ended
	start     bool        // with forgetEnd: an operator asked for a start, so the records of its containers do not count
}

// New starts nothing. last is the last known definition of the group. A nil last means that none is
// known. recorded is the last state of the group in the journal. Call Want before Run: a runner
// without a wanted definition removes its group.
func New(name string, last *store.Wanted, recorded group.State, c *Config, o Owner) *Runner {
	r := &Runner{
		group: name, machine: NewMachine(c), config: c, progress: &progress{now: c.Now}, log: c.Log, owner: o,
		wakeWanted: make(chan struct{}, 1), wakeHost: make(chan struct{}, 1), wakeDrift: make(chan struct{}, 1),
		observed: make(chan struct{}), status: group.Status{Name: name, Containers: []group.ContainerStatus{}}, recordedState: recorded,
	}
	r.machine.progress, r.woken = r.progress, true
	r.probes = probes.New(name, probes.Config{Prober: c.Prober, Images: c.Checks, Log: c.Log, Now: c.Now}, func() { r.Wake(WakeHost) })
	if last != nil {
		r.desired.was, r.desired.purge = &last.Group, last.Purge
	}
	return r
}

// Group returns the name of the group.
func (r *Runner) Group() string { return r.group }

// Observed returns a channel that is closed when Status first has an observation.
func (r *Runner) Observed() <-chan struct{} { return r.observed }

// Idle reports whether nothing was asked of the runner since seq.
func (r *Runner) Idle(seq int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq == seq
}

// Built reports whether the group was as wanted after the last thing that was asked of the runner:
// it is running and ready, or it is a job that has completed well. A step may have failed before.
func (r *Runner) Built() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.builtSeq == r.seq
}

// noteBuilt is for an observation after which there is nothing to do.
func (r *Runner) noteBuilt(in plan.Input, state group.State, seq int) {
	if plan.Problem(in) != nil || state != group.Running && state != group.Completed && state != group.Scheduled {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.builtSeq = seq
}

// Run reconciles the group until it is gone or ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	defer r.probes.Close()
	r.progress.begin()
	defer r.progress.end()
	for {
		r.counts.reconciliations.Add(1)
		next, gone := r.reconcile(ctx)
		if gone || ctx.Err() != nil {
			return nil
		}
		for r.sleep(ctx, next); r.rests(ctx); {
			next = r.turn(r.config.Now())
			r.sleep(ctx, next)
		}
	}
}

func (r *Runner) sleep(ctx context.Context, until time.Time) {
	defer r.progress.leave()()
	timer := time.NewTimer(until.Sub(r.config.Now()))
	defer timer.Stop()
	wakeHost := r.wakeHost
	if r.ignoreHost {
		wakeHost = nil
	}
	r.woken = true
	select {
	case <-ctx.Done():
	case <-timer.C:
		r.woken = false
	case <-wakeHost:
	case <-r.wakeDrift:
	case <-r.wakeWanted:
		r.forgetFailures()
	}
}

// forgetFailures makes what has failed be tried at once, and not after a pause.
func (r *Runner) forgetFailures() {
	r.failures = 0
	clear(r.reloads)
}

// seeWakes takes back the wakes for what is about to be read. Else a step that fails would be tried
// again at once, and not after a pause, and our own steps would have the group read once more.
func (r *Runner) seeWakes() {
	for _, wake := range []chan struct{}{r.wakeWanted, r.wakeHost, r.wakeDrift} {
		select {
		case <-wake:
			r.woken = true
			if wake == r.wakeWanted {
				r.forgetFailures()
			}
		default:
		}
	}
}

// Want changes what is wanted. A nil w means that the group is to be removed. images are the images
// that the references were just resolved to. Nil images leave those of the last call. waiter gets
// the result of the reconciliation that follows. A nil waiter gets none.
func (r *Runner) Want(w *store.Wanted, images map[string]host.Image, waiter *Waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := waiter != nil || (w == nil) != (r.desired.wanted == nil)
	if w != nil && r.desired.wanted != nil {
		changed = changed || w.Generation != r.desired.wanted.Generation || w.Stopped != r.desired.wanted.Stopped || hint.Text(w.Broken) != hint.Text(r.desired.wanted.Broken)
	}
	if old := r.desired.wanted; old != nil && (w == nil || w.Group.Digest != old.Group.Digest) {
		r.desired.was = &old.Group
	}
	r.desired.wanted = w
	r.desired.purge = r.desired.purge && w == nil
	if images != nil {
		r.desired.images = images
	}
	if changed {
		r.desired.reread = r.desired.reread || waiter != nil
		r.forgetBounds()
		r.addRequest(waiter)
	}
}

// Restart asks for the containers to be replaced as they are.
func (r *Runner) Restart(containers []string, waiter *Waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desired.restart = maps.Clone(r.desired.restart)
	if r.desired.restart == nil {
		r.desired.restart = map[string]bool{}
	}
	for _, c := range containers {
		r.desired.restart[c] = true
	}
	r.desired.forgetEnd, r.desired.reread = true, true
	r.forgetBounds()
	r.addRequest(waiter)
}

// restartDone ends the restart of a container: the old container is gone.
func (r *Runner) restartDone(container string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desired.restart[container] {
		r.desired.restart = maps.Clone(r.desired.restart)
		delete(r.desired.restart, container)
		r.records = r.records.Reset(container)
	}
}

// StartAgain makes the next reconciliation forget how the group has ended, and how often its
// containers have ended in a row.
func (r *Runner) StartAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desired.forgetEnd, r.desired.start = true, true
	r.forgetBounds()
}

// loadEnded returns how the group has ended by itself. A nil e means that it has not ended, or is
// to run again. undone reports whether it had ended until now.
func (r *Runner) loadEnded(d desired) (e *group.Ended, undone bool, err error) {
	if d.wanted == nil {
		return nil, false, nil
	}
	e, err = r.config.Records.Ended(r.group, d.wanted.Generation)
	if !d.forgetEnd {
		if r.endLost(err) {
			e, err = r.restoreEnd(d)
		}
		return e, false, err
	}
	if undone = e != nil; undone || err != nil {
		r.setRun(nil) // first: with it, what is started now might be over at once
	}
	if err := r.config.Records.SetEnded(r.group, nil); err != nil {
		return nil, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desired.forgetEnd, r.desired.start = false, false // asked for again only after the group can end again
	return nil, undone, nil
}

// endLost reports whether the record of a job's end is lost: the journal has that the job has
// completed. Without the record, the job would run once more. err is that of reading it.
func (r *Runner) endLost(err error) bool {
	return r.recordedState == group.Completed && (errors.Is(err, store.ErrDamaged) || err == nil && !r.config.Records.KnowsEnd(r.group))
}

// restoreEnd makes the record of a job's end again.
func (r *Runner) restoreEnd(d desired) (*group.Ended, error) {
	e := &group.Ended{Generation: d.generation(), State: group.Completed, At: r.config.Now(), Exits: map[string]group.Exit{}}
	if err := r.config.Records.SetEnded(r.group, e); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("how the group has ended was lost. It had completed and stays so: \"sallyport start %s\" runs it again", r.group)
	r.log.Warn(text, "group", r.group)
	r.record(group.Event{Group: r.group, Kind: group.EventMended, Text: text})
	return e, nil
}

// forgetImages makes the next step resolve the references again, and retain what they mean.
func (r *Runner) forgetImages() {
	r.retention.forget()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desired.images = nil
}

// generation returns that of what is wanted.
func (r *Runner) generation() int {
	d, _ := r.desiredNow()
	return d.generation()
}

// desiredNow returns what is wanted, and its seq.
func (r *Runner) desiredNow() (desired, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.desired, r.seq
}
