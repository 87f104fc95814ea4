package shim

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/spec"
)

// A Config is what a Keeper works with.
type Config struct {
	Runtime Runtime          // required
	Network Network          // required
	Volumes Volumes          // required
	Cgroups Cgroups          // optional: nil holds no group to bounds on all of it
	Store   *Store           // required
	Holder  Holder           // optional: nil leaves it to others that images stay
	Watcher Watcher          // optional: without it only timers and calls cause a look
	Lookout Lookout          // optional: without it what others change is found by the next look
	Prober  Prober           // optional: without it nothing is asked, and what runs is ready
	Journal *Journal         // optional: nil records nothing
	Log     *slog.Logger     // optional: nil discards
	Now     func() time.Time // optional: nil is time.Now
	Rand    func() float64   // optional: in [0,1), spreads restarts and retries; nil is math/rand

	Resync time.Duration // optional: between two looks at a group of which nothing is heard; 0 is 30 s
	Settle time.Duration // optional: quiet time of the folder before it is read again; 0 is 200 ms
	Glance time.Duration // optional: between two questions to the Lookout; 0 is 1 s

	// PortInUse says who else has a port of the host. Optional: nil asks nobody. holder is empty where nobody has it.
	PortInUse func(spec.Publish) (holder string, err error)
	// LastOutput returns the last lines of a container's output. Optional: nil is no output.
	LastOutput func(group, container string) []string
	// Before is told of each step that is about to be tried, from the runners' goroutines. Optional.
	Before func(group string, step Step)
	// Trace is told of each step that was tried, from the runners' goroutines. Optional.
	Trace func(group string, step Step, took time.Duration)
}

var (
	errStopping = errors.New("the daemon is stopping")
	errNotSetUp = errors.New("shim: a Keeper needs Runtime, Network, Volumes and Store")
)

// A Keeper keeps groups, each by a runner of its own. Its methods but New and Run wait until Run has loaded the store.
type Keeper struct {
	config Config
	host   host
	folder func(ctx context.Context, dir string, settle time.Duration, changed func()) error

	ready   chan struct{} // closed when the store has been loaded
	looked  chan struct{} // closed when its groups have been looked at
	stopped chan struct{} // closed when Run ends
	install chan struct{} // holds the right to change or read the store

	mu      sync.Mutex
	spawn   func(*runner) // nil: not running
	runners map[string]*runner
	wanted  map[string]Wanted
	entered map[string]State // by group, the state that the journal had last when Run began; a group that is gone is in it no more
	loaded  Loaded
	swept   bool // orphans have been looked for since the last load
}

// New validates and starts nothing.
func New(c Config) (*Keeper, error) {
	if c.Runtime == nil || c.Network == nil || c.Volumes == nil || c.Store == nil {
		return nil, errNotSetUp
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Resync == 0 {
		c.Resync = 30 * time.Second
	}
	if c.Settle == 0 {
		c.Settle = 200 * time.Millisecond
	}
	if c.Glance == 0 {
		c.Glance = time.Second
	}
	return &Keeper{
		config:  c,
		host:    host{Runtime: c.Runtime, network: c.Network, volumes: c.Volumes, cgroups: c.Cgroups, holder: c.Holder},
		folder:  watchFolder,
		ready:   make(chan struct{}),
		looked:  make(chan struct{}),
		stopped: make(chan struct{}),
		install: make(chan struct{}, 1),
		runners: map[string]*runner{},
		wanted:  map[string]Wanted{},
	}, nil
}

// Run loads the store, adopts what runs, removes orphans, and keeps every group until ctx ends. Groups run on after it. It
// can be called once.
func (k *Keeper) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.spawn = nil // g's count can reach zero only after this, so nothing is added to it any more
		close(k.stopped)
		return nil
	})
	k.mu.Lock()
	k.spawn = func(r *runner) { g.Go(func() error { return r.run(ctx) }) }
	k.mu.Unlock()
	k.entered = k.lastStates()
	k.install <- struct{}{}
	_ = k.load(nil, nil) // logged, and kept for Problems; what could be read is kept
	<-k.install
	close(k.ready)

	g.Go(func() error { return k.awaitLooks(ctx) })
	g.Go(func() error { return k.watchFiles(ctx) })
	g.Go(func() error { return k.sweepOrphans(ctx) })
	if w := k.config.Watcher; w != nil {
		g.Go(func() error { return w.Watch(ctx, k.changed) })
	}
	if k.config.Lookout != nil {
		g.Go(func() error { return k.keepLookout(ctx) })
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Load reads the groups' files again and makes what they say the wanted state. Called by Run, on a change of the folder, and
// on SIGHUP. The error tells of the files that can't be used; their groups stay as they were last good.
func (k *Keeper) Load(ctx context.Context) error {
	release, err := k.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.load(nil, nil)
}

// Problems are the files that can't be used, as of the last load.
func (k *Keeper) Problems() []FileProblem {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.loaded.Problems)
}

// Status returns one group's status, or every group's, by name, when group is "". An unknown group is ErrNoGroup.
func (k *Keeper) Status(group string) ([]GroupStatus, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if group != "" {
		r, ok := k.runners[group]
		if !ok {
			return nil, ErrNoGroup
		}
		return []GroupStatus{r.current()}, nil
	}
	out := make([]GroupStatus, 0, len(k.runners))
	for _, name := range slices.Sorted(maps.Keys(k.runners)) {
		out = append(out, k.runners[name].current())
	}
	return out, nil
}

// lock takes the right to the store, once Run has loaded it. release gives it back.
func (k *Keeper) lock(ctx context.Context) (release func(), err error) {
	if err := k.await(ctx); err != nil {
		return nil, err
	}
	select {
	case k.install <- struct{}{}:
		return func() { <-k.install }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-k.stopped:
		return nil, errStopping
	}
}

// await waits until Run has loaded the store.
func (k *Keeper) await(ctx context.Context) error {
	select {
	case <-k.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-k.stopped:
		return errStopping
	}
}

// changed wakes one group's runner, or with "" all of them, whatever they wait for.
func (k *Keeper) changed(group string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if group == "" {
		for _, r := range k.runners {
			signal(r.kick)
		}
		return
	}
	if r, ok := k.runners[group]; ok {
		signal(r.poke)
	}
}
