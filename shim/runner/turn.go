package runner

import (
	"context"
	"hash/fnv"
	"io"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
)

// Groups are observed without a cause at certain moments alone, so that those of one moment share
// one list of containers.
const (
	ownMoments = 15 // of a resync, by the group's name
	moments    = 60 // of a resync
	// restTurns is how many turns of a quiet group pass at most before it is observed in one.
	restTurns = 10
)

// isCalm reports whether nothing is left to do or to record after an observation, and nothing of
// the group depends on the time. turn means that nothing is to be done before the group's next
// turn. Runs are never calm: they are short, or have a time limit. Neither are groups with devices,
// since nothing reports what becomes of those.
func (r *Runner) isCalm(in plan.Input, err error, turn bool) bool {
	devices := slices.ContainsFunc(in.Observed.Containers, func(s host.ContainerState) bool { return s.Devices != "" })
	return turn && err == nil && !r.config.Once && !devices && in.ToRun() != nil && in.Observed.Unknown(in.Want) == nil && len(in.FoundDigests()) == 0 &&
		plan.Next(in).IsZero() && r.rollout.NextCheck(in.Update()).IsZero()
}

// rests reports whether the turn that has come can pass by: the group was as wanted at its last
// observation, and nothing has changed since. After restTurns it is observed in any case, so what
// no event reports is found too.
func (r *Runner) rests(ctx context.Context) bool {
	now := r.config.Now()
	if r.woken || r.calm == nil || r.config.Quiet == nil || ctx.Err() != nil ||
		r.saveFailure != "" || r.outputFailure != "" || r.machine.images != nil && r.retained != r.generation() ||
		now.Sub(r.looked) >= restTurns*r.config.Resync {
		return false
	}
	defer r.progress.leave()() // it asks the host
	return r.config.Quiet(r.calm, r.looked)
}

// turn returns when the group is next observed without a cause.
func (r *Runner) turn(now time.Time) time.Time {
	if r.woken {
		return ownTurn(r.group, now, r.config.Resync)
	}
	return nextTurn(now, r.config.Resync)
}

// ownTurn returns the next turn of a group whose observation had a cause that may be that of all: a
// new daemon, containerd that has come back, a change of the host's rules. By their names the
// groups are spread over the resync.
func ownTurn(group string, now time.Time, resync time.Duration) time.Time {
	at := time.Duration(hash(group)%ownMoments) * (resync / ownMoments)
	wait := at - sinceMoment(now, resync)
	if wait <= 0 {
		wait += resync
	}
	return now.Add(wait)
}

// nextTurn returns the next turn of any other group: the last moment of the resync that follows. A
// group that is observed in its turn keeps it.
func nextTurn(now time.Time, resync time.Duration) time.Time {
	grain := max(resync/moments, 1)
	return now.Add(resync - sinceMoment(now.Add(resync), grain))
}

func hash(group string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, group) // a hash takes everything
	return h.Sum32()
}

// sinceMoment returns how long ago the clock was last at a multiple of d.
func sinceMoment(now time.Time, d time.Duration) time.Duration {
	return time.Duration(now.UnixNano() % int64(d))
}
