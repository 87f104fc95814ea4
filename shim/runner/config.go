package runner

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/probes"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// A Config holds what a runner needs.
type Config struct {
	Runtime Runtime          // required
	Network Network          // required
	Volumes Volumes          // required
	Secrets Secrets          // optional: without one, a group with secrets can't run
	Cgroups Cgroups          // optional: nil sets no limits on whole groups
	Records RecordStore      // required
	Layout  layout.Layout    // required
	Devices Devices          // optional: without one, Create alone looks for devices
	Images  ImageKeeper      // optional: nil leaves the retention of images to others
	Drift   Drift            // optional: without one, drift is described as "its network"
	Prober  probes.Prober    // optional: without one, every running container is ready
	Checks  probes.Images    // optional: without one, no probe asks what an image's HEALTHCHECK asks
	Exec    host.Execer      // optional: without one, no pre_stop runs
	Journal *journal.Journal // optional: nil records nothing
	Log     *slog.Logger     // optional: nil discards
	Now     func() time.Time // optional: nil is time.Now
	Rand    func() float64   // optional: in [0,1), spreads restarts and retries; nil is math/rand
	// Boot returns the id of the host's boot and how long ago it was, by a clock that can't be set.
	// An empty id means that it can't be read. Optional: nil is Now alone.
	Boot func() (id string, up time.Duration)

	// Once means that each group is a run: see [plan.Input]. Optional.
	Once bool
	// Resync is the longest time between two reconciliations of a group, but for Quiet. Optional: 0
	// is 30 s.
	Resync time.Duration
	// Quiet reports whether nothing of a group has changed on the host since a time, because every
	// change would have been reported. Such a group is left alone for up to 10 times Resync. It is
	// called from the runners' goroutines. Optional: nil is never.
	Quiet func(want *spec.Group, since time.Time) bool
	// PortInUse returns who else uses a port of the host. An empty holder means that the port is
	// free. Optional: nil takes every port to be free.
	PortInUse func(spec.Publish) (holder string, err error)
	// LastOutput returns the last lines of what a container has printed since a time. The zero time
	// is no bound. Optional: nil is no output.
	LastOutput func(group, container string, since time.Time) []string
	// Incarnations separates the output of groups with one name. Optional: nil leaves it all where
	// it is.
	Incarnations Incarnations
	// WantOutput is called with the definition of a wanted group before each look at it, so before
	// its containers start. It passes on what the group's file asks for their output. Optional.
	WantOutput func(*spec.Group) error
	// Lost is called with the number of events that the journal did not take, from any goroutine.
	// Optional.
	Lost func(events int)
	// Before is called before each step is tried, from the runners' goroutines. Optional.
	Before func(group string, step plan.Step)
	// Trace is called after each step was tried, from the runners' goroutines. Optional.
	Trace func(group string, step plan.Step, took time.Duration)
}

// A RecordStore keeps what outlives the keeper. Implemented by store.Store.
type RecordStore interface {
	// Ended returns how the generation has ended by itself. Nil means that it has not.
	Ended(group string, generation int) (*group.Ended, error)
	// KnowsEnd reports whether there is a record of that, even of another generation.
	KnowsEnd(group string) bool
	// SetEnded saves how the group has ended. A nil e forgets it.
	SetEnded(group string, e *group.Ended) error
	// Restarts returns how the group's containers have ended. Nothing saved is empty records.
	Restarts(group string) (restart.Records, error)
	// SetRestarts saves how they have ended.
	SetRestarts(group string, h restart.Records) error
	// Run returns how long the run of a job has taken. Nil means that none has begun.
	Run(group string) (*restart.Run, error)
	// SetRun saves that. A nil r forgets it.
	SetRun(group string, r *restart.Run) error
}

// An Owner is a runner's way back to its keeper, which alone changes the store.
type Owner interface {
	// RecordOutcome records the outcome of a generation.
	RecordOutcome(ctx context.Context, group string, generation int, o group.Outcome, why string) error
	// Revert puts the generation before w in its place. A nil error also means that something else
	// is wanted by now.
	Revert(ctx context.Context, r *Runner, w store.Wanted, why error) error
	// RecordDigests adds to the image digests of a generation.
	RecordDigests(ctx context.Context, group string, generation int, p group.ImageDigests) error
	// KeptGenerations returns the generations that the group can be rolled back to.
	KeptGenerations(ctx context.Context, group string) ([]int, error)
	// Drop forgets the group and its runner: the group is gone. It does nothing if something else
	// was asked of the runner since seq. It reports whether it dropped the runner.
	Drop(ctx context.Context, r *Runner, seq int) bool
}

// errIncomplete is the error for a configuration that lacks something required.
var errIncomplete = errors.New("runner: a configuration needs Runtime, Network, Volumes and Records")

// Fill sets what is optional and was left out. It fails if something required is missing.
func (c *Config) Fill() error {
	if c.Runtime == nil || c.Network == nil || c.Volumes == nil || c.Records == nil {
		return errIncomplete
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
	return nil
}
