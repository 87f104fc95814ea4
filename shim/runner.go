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
	group  string
	host   Machine
	config *RunnerConfig
	log    *slog.Logger
	owner  Owner

	wakeWanted, wakeHost, wakeDrift chan struct{} // each holds one, see [Wake]

	looked chan struct{} // closed when status first tells what was seen

	mu        sync.Mutex
	wish      wish
	seq       int // of the wish; one more with every change and every request
	followers []follower
	status    GroupStatus
	changed   chan struct{} // closed when status is not that any more; nil: nobody waits for it

	// Touched by the goroutine alone.
	pulse     *ProbeGroup
	history   History
	recalled  bool             // history has what the keeper before has written down
	notes     History          // as they are written down; nil: not known
	unnoted   string           // why they could not be written down the last time; empty: they could
	words     map[string]words // by container
	denied    time.Time        // since when what the group waits for has been denied by probes; zero: it is not
	acted     bool             // a step was tried
	fails     int              // looks in a row that failed
	deaf      bool             // a step has failed and its retry waits: our own doings must not wake us
	lastError error            // of the last look that ended
	entered   State            // the journal has
	calm      int              // seq of the last look that found all as wanted, or made it so
	drift     []string         // what somebody else has changed and is not put back yet, in an operator's words
	driftTold bool             // that it is not put back yet
	connected *spec.Group      // what its link was last seen, or made, as; nil: not by this keeper
	trial     trial            // of the wanted generation
	stuck     error            // why a generation that is late could not be taken back
	mends     mends
	held      int // the generation of which all images are held
}

// A wish is what a runner goes by.
type wish struct {
	wanted  *Wanted     // nil: the group is to be gone
	was     *spec.Group // the definition before
	images  map[string]Image
	restart map[string]bool
	purge   bool // with wanted nil: the persistent volumes are to be gone too
	anew    bool // it is to be forgotten how the group has ended
	start   bool // with anew: an operator asked for a start, whatever is written down of its containers
}

// NewRunner starts nothing. last is the last definition that is known of the group; nil: none is. entered is the state that the
// journal has of it. Before Run it must be told what is wanted: a group of which nothing is wanted is one to remove.
func NewRunner(group string, last *Wanted, entered State, c *RunnerConfig, o Owner) *Runner {
	r := &Runner{
		group: group, host: NewMachine(c), config: c, log: c.Log, owner: o,
		wakeWanted: make(chan struct{}, 1), wakeHost: make(chan struct{}, 1), wakeDrift: make(chan struct{}, 1),
		looked: make(chan struct{}), status: GroupStatus{Name: group, Containers: []ContainerStatus{}}, entered: entered,
	}
	r.pulse = NewProbeGroup(group, ProbeConfig{Prober: c.Prober, Log: c.Log, Now: c.Now}, func() { r.Wake(WakeHost) })
	if last != nil {
		r.wish.was, r.wish.purge = &last.Group, last.Purge
	}
	return r
}

// Group returns the name of the group.
func (r *Runner) Group() string { return r.group }

// Looked is closed when Status first has what was observed.
func (r *Runner) Looked() <-chan struct{} { return r.looked }

// Idle reports whether nothing has been asked of the runner since seq.
func (r *Runner) Idle(seq int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq == seq
}

// Run reconciles the group until it is gone or ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	defer r.pulse.Close()
	for {
		next, gone := r.look(ctx)
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
	if r.deaf {
		wakeHost = nil
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wakeHost:
	case <-r.wakeDrift:
	case <-r.wakeWanted:
		r.fails = 0
	}
}

// want changes what is wanted. A nil w is a group that is to be gone. Images, where not nil, are what the references were
// resolved to just now; f, where not nil, is told of the look that follows.
func (r *Runner) Want(w *Wanted, images map[string]Image, f *Waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := f != nil || (w == nil) != (r.wish.wanted == nil)
	if w != nil && r.wish.wanted != nil {
		changed = changed || w.Generation != r.wish.wanted.Generation || w.Stopped != r.wish.wanted.Stopped || errorText(w.Broken) != errorText(r.wish.wanted.Broken)
	}
	if old := r.wish.wanted; old != nil && (w == nil || w.Group.Digest != old.Group.Digest) {
		r.wish.was = &old.Group
	}
	r.wish.wanted = w
	r.wish.purge = r.wish.purge && w == nil
	if images != nil {
		r.wish.images = images
	}
	if changed {
		r.requested(f)
	}
}

// restart asks for the containers to be replaced as they are.
func (r *Runner) Restart(containers []string, f *Waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wish.restart = maps.Clone(r.wish.restart)
	if r.wish.restart == nil {
		r.wish.restart = map[string]bool{}
	}
	for _, c := range containers {
		r.wish.restart[c] = true
	}
	r.wish.anew = true
	r.requested(f)
}

// restarted ends a request for a restart: the container as it was is gone.
func (r *Runner) restarted(container string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wish.restart[container] {
		r.wish.restart = maps.Clone(r.wish.restart)
		delete(r.wish.restart, container)
		r.history = r.history.forgiven(container)
	}
}

// again asks for it to be forgotten how the group has ended, and how often its containers have in a row, by the look that follows.
func (r *Runner) StartAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wish.anew, r.wish.start = true, true
}

// howEnded is how the group has ended of its own accord; nil: it has not, or is to run again. undone says that it had, until now.
func (r *Runner) howEnded(w wish) (e *Ended, undone bool, err error) {
	if w.wanted == nil {
		return nil, false, nil
	}
	e, err = r.config.Store.Ended(r.group, w.wanted.Generation)
	if !w.anew {
		return e, false, err
	}
	undone = e != nil
	if err := r.config.Store.SetEnded(r.group, nil); err != nil {
		return nil, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wish.anew, r.wish.start = false, false // nobody asks for it twice before the group could have ended once more
	return nil, undone, nil
}

// forgetImages lets the references be resolved anew.
func (r *Runner) forgetImages() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wish.images = nil
}

func (r *Runner) wishes() (wish, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wish, r.seq
}
