package keeper

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/runner"
)

// Outputs finds containers whose output is not copied into their log files any more. Such a
// container blocks for ever when it has printed some more.
type Outputs interface {
	// EndedOutputs returns them. pids has the processes of the containers to look at. If there is
	// one, unwritable is why the log folder takes nothing, or nil.
	EndedOutputs(ctx context.Context, group string, pids map[string]uint32) (ended []string, unwritable error)
}

// watchOutputs looks at the output of all containers until ctx ends. Each container whose output is
// not copied is reported once, and started again when its output can be written.
func (k *Keeper) watchOutputs(ctx context.Context) error {
	reported := map[string]map[string]uint32{} // by group and container: the process
	tick := time.NewTicker(k.config.Resync)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		k.mu.Lock()
		runners := maps.Clone(k.runners)
		k.mu.Unlock()
		var mu sync.Mutex
		var all sync.WaitGroup
		now := map[string]map[string]uint32{}
		for name, r := range runners { // at once: a look at one that is stuck takes seconds
			all.Go(func() {
				pids := k.checkOutputs(ctx, r, reported[name])
				mu.Lock()
				defer mu.Unlock()
				now[name] = pids
			})
		}
		all.Wait()
		reported = now
	}
}

// checkOutputs looks at one group. It returns the processes that were reported, by container.
func (k *Keeper) checkOutputs(ctx context.Context, r *runner.Runner, reported map[string]uint32) map[string]uint32 {
	pids, titles := map[string]uint32{}, map[string]string{}
	for _, c := range r.Status().Containers {
		if c.Task == host.TaskRunning && c.PID != 0 {
			pids[c.Name], titles[c.Name] = c.PID, fmt.Sprintf("%s (%s)", c.Name, c.Role)
		}
	}
	ended, unwritable := k.config.Outputs.EndedOutputs(ctx, r.Group(), pids)
	if ctx.Err() != nil {
		return reported
	}
	maps.DeleteFunc(pids, func(name string, _ uint32) bool { return !slices.Contains(ended, name) })
	for _, name := range ended {
		if reported[name] == pids[name] {
			continue
		}
		text := fmt.Sprintf("the output of %s could not be written and is lost, and it would block when it prints more: it is started again", titles[name])
		if unwritable != nil {
			text += " when there is space: " + hint.OneLine(unwritable.Error())
		}
		k.config.Log.Warn(text, "group", r.Group())
		k.config.Record(group.Event{Group: r.Group(), Container: name, Kind: group.EventOutput, Text: text})
	}
	r.SetUncopied(runner.Uncopied{PIDs: pids, Unwritable: unwritable})
	return pids
}
