package shim

import (
	"context"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/spec"
)

// These are for the tests in package shim_test. They are not in package shim because shimtest
// imports it.

// Ending returns how the group ends with what is observed. Nil means that it goes on.
func (in PlanInput) Ending() *Ended { return in.ending() }

// ToRun returns the definition that the host is to be like.
func (in PlanInput) ToRun() *spec.Group { return in.toRun() }

func (o Observed) Unknown(want *spec.Group) error { return o.unknown(want) }

func (o Observed) Gone() bool { return o.gone() }

func (h History) Seen(states []ContainerState, now time.Time, chance func() float64) History {
	return h.seen(states, now, chance)
}

func (h History) Started(name, digest string, now time.Time) History {
	return h.started(name, digest, now)
}

func (h History) Stopped(name, because string) History { return h.stopped(name, because) }

func (h History) Noted() History { return h.noted() }

func (h History) Resumed(now time.Time) History { return h.resumed(now) }

func (h History) Begun() History { return h.begun(nil) }

func (o Observed) Begins() bool { return o.begins() }

func (o Observed) Recalled(h History) Observed { return o.recalled(h) }

func (h History) Forgiven(names ...string) History { return h.forgiven(names...) }

var (
	Backoff    = backoff
	Difference = difference
	StateOf    = stateOf
	Complaint  = complaint
	Awaits     = awaits
	Finish     = (*Store).finish

	DeniedEvents = deniedEvents
	QuotaLevel   = quotaLevel
	Poll         = (*Poller).poll
)

// WithParser gives a store another parser of files, for tests of the store alone.
func (s *Store) WithParser(parse func(spec.Source) ([]spec.Group, hcl.Diagnostics)) *Store {
	s.parse = parse
	return s
}

// WithFolder gives a keeper another watch of the folder. The real one waits in a system call, which
// stops synctest's clock.
func (k *Keeper) WithFolder(f func(ctx context.Context, dir string, settle time.Duration, changed func()) error) *Keeper {
	k.folder = f
	return k
}

var WatchFolder = watchFolder

// A Tally is what is known of one destination that one container was refused.
type Tally = tally

var Fresh = fresh
