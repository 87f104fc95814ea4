package keeper

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
)

// A Config holds what a Keeper needs.
type Config struct {
	runner.Config              // New sets its Records and Layout to those of the store
	Store         *store.Store // required
	Watcher       Watcher      // optional: without one, only timers and calls cause a reconciliation
	Changes       Changes      // optional: without one, changes made by others are found by the next reconciliation
	Bounds        Bounds       // optional: without one, nothing looks at bounds on disk
	Outputs       Outputs      // optional: without one, a container whose output is not copied may block
	ImageStore    ImageStore   // optional: without one, no image is removed
	ImageNotes    ImageNotes   // optional: without one, there are no notes about images
	Proofs        Proofs       // optional: without one, a status has nothing about proofs
	PublishNotes  PublishNotes // optional: nil means that there are no notes about published ports
	Shims         Shims        // optional: without one, nothing looks for shims that were left
	// ImageDisk returns the disk of the folder with the images. Optional: nil means that it is
	// never nearly full.
	ImageDisk func(path string) host.Disk
	Runs      *store.Runs // optional: New makes those of the store's layout
	Processes Processes   // optional: without one, runs have no standard input and get no signals
	RunLimits RunLimits   // optional: the zero value is DefaultRunLimits
	// Denied is called before the network of a run goes. It makes events of what was denied there,
	// and returns how many packets that were. Optional.
	Denied func(group string) (packets uint64)
	// RunGrace is how long a run that is not detached goes on without a caller. Optional: 0 is
	// 10 s.
	RunGrace time.Duration

	// Settle is how long the folder of the group files must be quiet before it is read again.
	// Optional: 0 is 200 ms.
	Settle time.Duration
	// RemovalDelay is how long a file must be gone from the folder before its groups are removed.
	// Optional: 0 is 2 s.
	RemovalDelay time.Duration
	// PruneInterval is the longest time between two looks at the images. Optional: 0 is an hour.
	PruneInterval time.Duration
	Watchdog      Watchdog // optional: fed while the keeper's loops go on
}

// A Watcher reports changes that call for a reconciliation of a group. Watch blocks until ctx ends,
// and reconnects by itself. It calls changed with a group's name, or with "" for every group, after
// it has reconnected.
type Watcher interface {
	Watch(ctx context.Context, changed func(group string)) error
}

// A Keeper keeps groups, each with a runner of its own. Status, Problems, History, Definition,
// Preview and Stop work from the moment when Known is closed. The other methods wait until Run has
// loaded the group files.
//
// A goroutine holds at most three of its locks: the turn to prune images, inside of that the right
// to the store (see lock), and inside of that mu. mu is held for a moment. With the right to the
// store, files of the state folder and of the folder of group files are written. These two are not
// held while a group file, or what one names, is read or evaluated.
type Keeper struct {
	config  Config
	machine runner.Machine
	// runConfig takes the place of config for the runners of runs.
	runConfig runner.Config
	folder    func(ctx context.Context, dir string, settle time.Duration, changed func(names []string)) error

	known       chan struct{}      // closed when the groups that the state folder has are known
	storeLoaded chan struct{}      // closed when the group files have been loaded
	observed    chan struct{}      // closed when all groups have been observed once
	stopped     chan struct{}      // closed when Run ends
	storeLock   chan struct{}      // its holder may read and change the store, see lock
	again       chan time.Duration // has the time after which to load again
	unswept     chan struct{}      // holds one after a load: orphans are to be looked for
	pruning     pruning
	shims       chan struct{} // asks for a look at the shims
	bounded     chan struct{} // holds one: there is a group with a bound

	mu             sync.Mutex
	spawn          func(*runner.Runner)               // nil: Run has not begun, or ends
	goOn           func(do func(ctx context.Context)) // runs do in a goroutine of Run, as spawn
	runners        map[string]*runner.Runner
	wanted         map[string]store.Wanted
	recordedStates map[string]group.State // by group: the journal's last state when Run began. Not those that are gone
	loaded         store.Loaded
	loads          uint64          // how often that was set
	left           map[string]bool // names and digests of images that were wanted since the last look at them, and then not
	runs           runs
	schedules      schedules
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
	if c.PruneInterval == 0 {
		c.PruneInterval = time.Hour
	}
	if c.Runs == nil {
		c.Runs = store.NewRuns(c.Layout)
	}
	if c.RunLimits == (RunLimits{}) {
		c.RunLimits = DefaultRunLimits
	}
	if c.RunGrace == 0 {
		c.RunGrace = 10 * time.Second
	}
	k := &Keeper{
		config:      c,
		machine:     runner.NewMachine(&c.Config),
		folder:      watchFolder,
		known:       make(chan struct{}),
		storeLoaded: make(chan struct{}),
		observed:    make(chan struct{}),
		stopped:     make(chan struct{}),
		storeLock:   make(chan struct{}, 1),
		again:       make(chan time.Duration, 1),
		unswept:     make(chan struct{}, 1),
		runners:     map[string]*runner.Runner{},
		wanted:      map[string]store.Wanted{},
		pruning:     pruning{soon: make(chan struct{}, 1), turn: make(chan struct{}, 1), begun: time.Now()},
		shims:       make(chan struct{}, 1),
		bounded:     make(chan struct{}, 1),
		runs:        runs{limits: c.RunLimits, all: map[string]*run{}},
		schedules:   schedules{changed: make(chan struct{}, 1), states: map[string]store.Schedule{}},
	}
	k.runConfig = c.Config
	k.runConfig.Once, k.runConfig.Images, k.runConfig.Records = true, nil, runRecords{c.Runs, k}
	k.runConfig.Before = k.beforeRunStep(c.Before)
	k.config.PortInUse = k.portOfRun(c.PortInUse)
	return k, nil
}

// Run loads the store, adopts what runs, removes orphans, and keeps every group until ctx ends. The
// groups keep running after that. It can be called once.
func (k *Keeper) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.spawn, k.goOn = nil, nil // from here on nothing is added to g: only now can its count reach zero
		close(k.stopped)
		return nil
	})
	k.mu.Lock()
	k.spawn = func(r *runner.Runner) { g.Go(func() error { return r.Run(ctx) }) }
	k.goOn = func(do func(ctx context.Context)) {
		g.Go(func() error {
			do(ctx)
			return nil
		})
	}
	k.mu.Unlock()
	if k.config.Watchdog.Time > 0 {
		g.Go(func() error { return k.feedWatchdog(ctx) })
	}
	k.open()
	g.Go(func() error { return k.writeUnwritten(ctx) })
	if w := k.config.Watcher; w != nil {
		g.Go(func() error { return w.Watch(ctx, k.hostChanged) })
	}
	if c := k.config.Changes; c != nil {
		g.Go(func() error { return c.WatchDrift(ctx, k.Groups, k.driftDetected) })
	}
	if k.config.Bounds != nil {
		g.Go(func() error { return k.watchBounds(ctx) })
	}
	if k.config.Outputs != nil {
		g.Go(func() error { return k.watchOutputs(ctx) })
	}
	g.Go(func() error { return k.watchRuns(ctx) })
	if k.firstLoad(ctx) {
		g.Go(func() error { return k.waitObserved(ctx) })
		g.Go(func() error { return k.watchFiles(ctx) })
		g.Go(func() error { return k.loadAgain(ctx) })
		g.Go(func() error { return k.sweepOrphans(ctx) })
		g.Go(func() error { return k.watchSchedules(ctx) })
		if k.config.ImageStore != nil {
			g.Go(func() error { return k.watchImages(ctx) })
		}
		if k.config.Shims != nil {
			g.Go(func() error { return k.watchShims(ctx) })
		}
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
func (k *Keeper) Load(ctx context.Context) error { return k.loadChanged(ctx, nil) }

// loadChanged is Load for what has changed in the folder. No names mean that anything may have
// changed.
func (k *Keeper) loadChanged(ctx context.Context, names []string) error {
	if err := k.waitLoaded(ctx); err != nil {
		return err
	}
	r, err := k.config.Store.ReadChanged(ctx, names)
	if err != nil {
		return err
	}
	release, err := k.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.load(loading{reading: r})
}

// Problems returns the files that cannot be used, as of the last load, and the damaged ones that
// were set aside.
func (k *Keeper) Problems() []group.FileProblem {
	return append(k.loadProblems(), k.config.Store.Aside()...)
}

// loadProblems returns the files that cannot be used, as of the last load. It reads nothing.
func (k *Keeper) loadProblems() []group.FileProblem {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.loaded.Problems)
}

// folderUnread reports whether the folder of group files could not be listed.
func (k *Keeper) folderUnread() bool {
	dir := k.config.Store.Layout().GroupsDir
	return slices.ContainsFunc(k.loadProblems(), func(p group.FileProblem) bool { return p.Path == dir })
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
