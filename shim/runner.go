package shim

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A runner keeps one group. Its goroutine alone looks and acts; everyone else changes what is wanted, under mu, and wakes it.
type Runner struct {
	group   string
	machine Machine
	config  *RunnerConfig
	log     *slog.Logger
	owner   Owner

	wakeWanted, wakeHost, wakeDrift chan struct{} // each holds one, see [Wake]

	observed chan struct{} // closed when status first tells what was seen

	mu            sync.Mutex
	desired       desired
	seq           int // of the wish; one more with every change and every request
	requests      []request
	status        GroupStatus
	statusChanged chan struct{} // closed when status is not that any more; nil: nobody waits for it

	// Touched by the goroutine alone.
	probes        *ProbeGroup
	records       History
	restored      bool              // history has what the keeper before has written down
	saved         History           // as they are written down; nil: not known
	saveFailure   string            // why they could not be written down the last time; empty: they could
	output        map[string]output // by container
	notReadySince time.Time         // since when what the group waits for has been denied by probes; zero: it is not
	acted         bool              // a step was tried
	failures      int               // looks in a row that failed
	ignoreHost    bool              // a step has failed and its retry waits: our own doings must not wake us
	lastError     error             // of the last look that ended
	recordedState State             // the journal has
	settledSeq    int               // seq of the last look that found all as wanted, or made it so
	drift         []string          // what somebody else has changed and is not put back yet, in an operator's words
	driftReported bool              // that it is not put back yet
	connected     *spec.Group       // what its link was last seen, or made, as; nil: not by this keeper
	rollout       rollout           // of the wanted generation
	revertErr     error             // why a generation that is late could not be taken back
	repairs       repairs
	retained      int // the generation of which all images are held
}

// A wish is what a runner goes by.
type desired struct {
	wanted    *Wanted     // nil: the group is to be gone
	was       *spec.Group // the definition before
	images    map[string]Image
	restart   map[string]bool
	purge     bool // with wanted nil: the persistent volumes are to be gone too
	forgetEnd bool // it is to be forgotten how the group has ended
	start     bool // with anew: an operator asked for a start, whatever is written down of its containers
}

// NewRunner starts nothing. last is the last definition that is known of the group; nil: none is. entered is the state that the
// journal has of it. Before Run it must be told what is wanted: a group of which nothing is wanted is one to remove.
func NewRunner(group string, last *Wanted, entered State, c *RunnerConfig, o Owner) *Runner {
	r := &Runner{
		group: group, machine: NewMachine(c), config: c, log: c.Log, owner: o,
		wakeWanted: make(chan struct{}, 1), wakeHost: make(chan struct{}, 1), wakeDrift: make(chan struct{}, 1),
		observed: make(chan struct{}), status: GroupStatus{Name: group, Containers: []ContainerStatus{}}, recordedState: entered,
	}
	r.probes = NewProbeGroup(group, ProbeConfig{Prober: c.Prober, Log: c.Log, Now: c.Now}, func() { r.Wake(WakeHost) })
	if last != nil {
		r.desired.was, r.desired.purge = &last.Group, last.Purge
	}
	return r
}

// Group returns the name of the group.
func (r *Runner) Group() string { return r.group }

// Looked is closed when Status first has what was observed.
func (r *Runner) Observed() <-chan struct{} { return r.observed }

// Idle reports whether nothing has been asked of the runner since seq.
func (r *Runner) Idle(seq int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq == seq
}

// Run reconciles the group until it is gone or ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	defer r.probes.Close()
	for {
		next, gone := r.reconcile(ctx)
		if gone || ctx.Err() != nil {
			return nil
		}
		r.sleep(ctx, next)
	}
}

func (r *Runner) sleep(ctx context.Context, until time.Time) {
	timer := time.NewTimer(until.Sub(r.config.Now()))
	defer timer.Stop()
	wakeHost := r.wakeHost
	if r.ignoreHost {
		wakeHost = nil
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wakeHost:
	case <-r.wakeDrift:
	case <-r.wakeWanted:
		r.failures = 0
	}
}

// want changes what is wanted. A nil w is a group that is to be gone. Images, where not nil, are what the references were
// resolved to just now; f, where not nil, is told of the look that follows.
func (r *Runner) Want(w *Wanted, images map[string]Image, waiter *Waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := waiter != nil || (w == nil) != (r.desired.wanted == nil)
	if w != nil && r.desired.wanted != nil {
		changed = changed || w.Generation != r.desired.wanted.Generation || w.Stopped != r.desired.wanted.Stopped || errorText(w.Broken) != errorText(r.desired.wanted.Broken)
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
		r.addRequest(waiter)
	}
}

// restart asks for the containers to be replaced as they are.
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
	r.desired.forgetEnd = true
	r.addRequest(waiter)
}

// restarted ends a request for a restart: the container as it was is gone.
func (r *Runner) restartDone(container string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desired.restart[container] {
		r.desired.restart = maps.Clone(r.desired.restart)
		delete(r.desired.restart, container)
		r.records = r.records.forgiven(container)
	}
}

// again asks for it to be forgotten how the group has ended, and how often its containers have in a row, by the look that follows.
func (r *Runner) StartAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desired.forgetEnd, r.desired.start = true, true
}

// howEnded is how the group has ended of its own accord; nil: it has not, or is to run again. undone says that it had, until now.
func (r *Runner) loadEnded(d desired) (e *Ended, undone bool, err error) {
	if d.wanted == nil {
		return nil, false, nil
	}
	e, err = r.config.Store.Ended(r.group, d.wanted.Generation)
	if !d.forgetEnd {
		return e, false, err
	}
	undone = e != nil
	if err := r.config.Store.SetEnded(r.group, nil); err != nil {
		return nil, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desired.forgetEnd, r.desired.start = false, false // nobody asks for it twice before the group could have ended once more
	return nil, undone, nil
}

// forgetImages lets the references be resolved anew.
func (r *Runner) forgetImages() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.desired.images = nil
}

func (r *Runner) desiredNow() (desired, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.desired, r.seq
}
