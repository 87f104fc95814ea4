// Package metrics makes metrics for Prometheus of what the daemon knows and what the kernel counts.
// It reads all of it when it is asked, and keeps only how many events there were.
//
// Pitfall: a read may hang, such as of a file on a mount that gives no answer. So each collector
// has a time limit, and one that hangs takes neither the others nor the next scrape along.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Keeper knows the groups. Implemented by [keeper.Keeper].
type Keeper interface {
	// Status returns the status of every group if the name is empty.
	Status(name string) ([]group.Status, error)
	// Counts returns what has happened to each group.
	Counts() map[string]group.Counts
	RunCounts() group.RunCounts
	// Problems returns the files that can't be used.
	Problems() []group.FileProblem
}

// A Door reads what the kernel counts for a group. The error for a group without rules is
// fs.ErrNotExist. Implemented by [network.Network].
type Door interface {
	Counters(group string) (host.Counters, error)
	Spent(group string) (used, quota uint64, err error)
}

// A Config holds what metrics are made of.
type Config struct {
	Version string // of the daemon
	Keeper  Keeper // required
	Door    Door   // required
	// Usage returns what a container uses. Required.
	Usage func(group string, role spec.Role, container string) host.CgroupUsage
	// Output returns how many bytes a container has printed, and how many of them are on disk. It
	// is not ok if there is no output. Required.
	Output func(group, container string) (printed, stored uint64, ok bool)
	// Denied returns the packets that were denied since the daemon started, by group and container.
	// The caller may change it. Required.
	Denied func() map[string]map[string]uint64
	// DeniedInbound returns the packets that were dropped on their way to groups since the daemon
	// started, by group. Required.
	DeniedInbound func() map[string]uint64
	// Route reports whether the host has a route to addresses that are not its own. Required.
	Route func(ipv6 bool) (bool, error)
	// Unwritten returns how many files of the state are not on disk yet. Required.
	Unwritten func() int
	Events    *Events          // required
	Log       *slog.Logger     // optional: nil discards
	Now       func() time.Time // optional: nil is time.Now
	// Limit is the time limit of the groups' statuses, and then of all that is read for them. A
	// scrape takes at most twice as long. Optional: 0 is 3 s. Prometheus waits 10 s by default.
	Limit time.Duration
}

// A Collector makes the metrics. It is safe for concurrent use: one scrape waits for the other.
type Collector struct {
	config Config
	turn   chan struct{} // holds one during a scrape
	groups reader        // comes first: the others read for its groups
	others []reader
}

var _ prometheus.Collector = (*Collector)(nil)

// New reads nothing.
func New(c Config) (*Collector, error) {
	if c.Keeper == nil || c.Door == nil || c.Usage == nil || c.Output == nil || c.Denied == nil || c.DeniedInbound == nil || c.Route == nil || c.Unwritten == nil || c.Events == nil {
		return nil, errors.New("metrics: a configuration lacks something required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Limit == 0 {
		c.Limit = 3 * time.Second
	}
	x := &Collector{config: c, turn: make(chan struct{}, 1)}
	x.groups = newReader("groups", x.readGroups)
	x.others = []reader{
		newReader("cgroups", x.readCgroups), newReader("door", x.readDoor), newReader("output", x.readOutput), newReader("host", x.readHost),
	}
	return x, nil
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range all {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	to <- gauge(buildInfo, 1, c.config.Version, runtime.Version())
	groups := &scrape{}
	c.read(&c.groups, groups, to)
	var reading sync.WaitGroup
	for i := range c.others {
		reading.Go(func() { c.read(&c.others[i], &scrape{groups: groups.known()}, to) })
	}
	reading.Wait()
}

// read sends what a reader finds, and how it fared.
func (c *Collector) read(r *reader, s *scrape, to chan<- prometheus.Metric) {
	began := c.config.Now()
	err := r.run(c.config.Limit, s)
	for _, m := range s.found() {
		to <- m
	}
	good := 1.0
	if err != nil {
		good = 0
		c.config.Log.Debug("metrics are incomplete", "collector", r.name, "error", err)
	}
	to <- gauge(collectorSuccess, good, r.name)
	to <- gauge(collectorDuration, c.config.Now().Sub(began).Seconds(), r.name)
}

// A reader reads one kind of metrics.
type reader struct {
	name string
	read func(context.Context, *scrape) error
	busy chan struct{} // holds one while read runs
}

func newReader(name string, read func(context.Context, *scrape) error) reader {
	return reader{name: name, read: read, busy: make(chan struct{}, 1)}
}

var (
	errHangs = errors.New("an earlier scrape still waits for it")
	errLate  = errors.New("it takes too long")
)

// run reads within the limit. A read that hangs goes on, and until it ends there is no other.
func (r *reader) run(limit time.Duration, s *scrape) error {
	select {
	case r.busy <- struct{}{}:
	default:
		return errHangs
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, errLate)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := r.read(ctx, s)
		<-r.busy
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A scrape has the metrics that one reader has found so far. A late reader adds to it after it was
// sent.
type scrape struct {
	mu      sync.Mutex
	groups  []group.Status
	metrics []prometheus.Metric
}

func (s *scrape) add(m ...prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metrics = append(s.metrics, m...)
}

func (s *scrape) know(groups []group.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups = groups
}

func (s *scrape) known() []group.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups
}

func (s *scrape) found() []prometheus.Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metrics[:len(s.metrics):len(s.metrics)]
}

// Events count events since the daemon started. The zero value is ready to use, also by several
// goroutines.
type Events struct {
	mu    sync.Mutex
	kinds map[group.EventKind]uint64
	lost  uint64
}

// Record counts an event that the journal has.
func (e *Events) Record(x group.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kinds == nil {
		e.kinds = map[group.EventKind]uint64{}
	}
	e.kinds[x.Kind]++
}

// Lost counts events that the journal did not take.
func (e *Events) Lost(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost += uint64(n)
}

// counts returns the events of each kind, with those that did not happen, and the lost ones.
func (e *Events) counts() (kinds map[group.EventKind]uint64, lost uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kinds = map[group.EventKind]uint64{}
	for _, k := range group.EventKinds {
		kinds[k] = e.kinds[k]
	}
	return kinds, e.lost
}
