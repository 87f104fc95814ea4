package keeper

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
)

// A Config holds what a Keeper needs.
type Config struct {
	runner.Config              // New sets its Records and Layout to those of the store
	Store         *store.Store // required
	Watcher       Watcher      // optional: without one, only timers and calls cause a reconciliation
	Changes       Changes      // optional: without one, changes made by others are found by the next reconciliation

	// Settle is how long the folder of the group files must be quiet before it is read again.
	// Optional: 0 is 200 ms.
	Settle time.Duration
	// RemovalDelay is how long a file must be gone from the folder before its groups are removed.
	// Optional: 0 is 2 s.
	RemovalDelay time.Duration
	// DriftInterval is the time between two calls of Changes.Changed. Optional: 0 is 1 s.
	DriftInterval time.Duration
}

// A Watcher reports changes that call for a reconciliation of a group. Watch blocks until ctx ends,
// and reconnects by itself. It calls changed with a group's name, or with "" for every group, after
// it has reconnected.
type Watcher interface {
	Watch(ctx context.Context, changed func(group string)) error
}

// A Keeper keeps groups, each with a runner of its own. Its methods wait until Run has loaded the
// store, except for New and Run.
type Keeper struct {
	config  Config
	machine runner.Machine
	folder  func(ctx context.Context, dir string, settle time.Duration, changed func()) error

	storeLoaded chan struct{}      // closed when the store has been loaded
	observed    chan struct{}      // closed when all groups have been observed once
	stopped     chan struct{}      // closed when Run ends
	storeLock   chan struct{}      // its holder may read and change the store, see lock
	again       chan time.Duration // has the time after which to load again

	mu             sync.Mutex
	spawn          func(*runner.Runner) // nil: Run has not begun, or ends
	runners        map[string]*runner.Runner
	wanted         map[string]store.Wanted
	recordedStates map[string]group.State // by group: the journal's last state when Run began. Not those that are gone
	loaded         store.Loaded
	swept          bool // orphans were looked for since the last load
}

// New validates the configuration and starts nothing.
func New(c Config) (*Keeper, error) {
	if c.Store == nil {
		return nil, errors.New("keeper: a configuration needs a Store")
	}
	c.Records, c.Layout = c.Store, c.Store.Layout()
	if err := c.Fill(); err != nil {
		return nil, err
	}
	if c.Settle == 0 {
		c.Settle = 200 * time.Millisecond
	}
	if c.RemovalDelay == 0 {
		c.RemovalDelay = 2 * time.Second
	}
	c.Store.RemovalDelay = c.RemovalDelay
	if c.DriftInterval == 0 {
		c.DriftInterval = time.Second
	}
	return &Keeper{
		config:      c,
		machine:     runner.NewMachine(&c.Config),
		folder:      watchFolder,
		storeLoaded: make(chan struct{}),
		observed:    make(chan struct{}),
		stopped:     make(chan struct{}),
		storeLock:   make(chan struct{}, 1),
		again:       make(chan time.Duration, 1),
		runners:     map[string]*runner.Runner{},
		wanted:      map[string]store.Wanted{},
	}, nil
}

// Run loads the store, adopts what runs, removes orphans, and keeps every group until ctx ends. The
// groups keep running after that. It can be called once.
func (k *Keeper) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.spawn = nil // from here on nothing is added to g: only now can its count reach zero
		close(k.stopped)
		return nil
	})
	k.mu.Lock()
	k.spawn = func(r *runner.Runner) { g.Go(func() error { return r.Run(ctx) }) }
	k.mu.Unlock()
	k.recordedStates = k.readStates()
	k.storeLock <- struct{}{}
	_ = k.load(nil, nil) // logged, and kept for Problems. The readable files count
	<-k.storeLock
	close(k.storeLoaded)

	g.Go(func() error { return k.waitObserved(ctx) })
	g.Go(func() error { return k.watchFiles(ctx) })
	g.Go(func() error { return k.loadAgain(ctx) })
	g.Go(func() error { return k.sweepOrphans(ctx) })
	if w := k.config.Watcher; w != nil {
		g.Go(func() error { return w.Watch(ctx, k.hostChanged) })
	}
	if k.config.Changes != nil {
		g.Go(func() error { return k.watchDrift(ctx) })
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Load reads the group files again and makes them the wanted state. It is called by Run, on a
// change of the folder, and on SIGHUP. The error names the files that cannot be used. Their groups
// keep their last good definition.
func (k *Keeper) Load(ctx context.Context) error {
	release, err := k.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.load(nil, nil)
}

// Problems returns the files that cannot be used, as of the last load, and the damaged ones that
// were set aside.
func (k *Keeper) Problems() []group.FileProblem {
	k.mu.Lock()
	problems := slices.Clone(k.loaded.Problems)
	k.mu.Unlock()
	return append(problems, k.config.Store.Aside()...)
}

// Status returns the status of one group, or, if group is "", of every group, sorted by name. The
// error for an unknown group is ErrNoGroup.
func (k *Keeper) Status(groupName string) ([]group.Status, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if groupName != "" {
		r, ok := k.runners[groupName]
		if !ok {
			return nil, group.ErrNoGroup
		}
		return []group.Status{r.Status()}, nil
	}
	out := make([]group.Status, 0, len(k.runners))
	for _, name := range slices.Sorted(maps.Keys(k.runners)) {
		out = append(out, k.runners[name].Status())
	}
	return out, nil
}

// lock waits until Run has loaded the store, and takes the right to read and change it. release
// gives the right back.
func (k *Keeper) lock(ctx context.Context) (release func(), err error) {
	if err := k.waitLoaded(ctx); err != nil {
		return nil, err
	}
	select {
	case k.storeLock <- struct{}{}:
		return func() { <-k.storeLock }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-k.stopped:
		return nil, runner.ErrStopping
	}
}

// waitLoaded waits until Run has loaded the store.
func (k *Keeper) waitLoaded(ctx context.Context) error {
	select {
	case <-k.storeLoaded:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-k.stopped:
		return runner.ErrStopping
	}
}

// hostChanged wakes the runner of a group. If group is "", it wakes all runners, even those that
// wait for a retry.
func (k *Keeper) hostChanged(group string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if group == "" {
		for _, r := range k.runners {
			r.Wake(runner.WakeWanted)
		}
		return
	}
	if r, ok := k.runners[group]; ok {
		r.Wake(runner.WakeHost)
	}
}
