package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// An Uncopied has the containers of a group whose output is not copied into their log files any
// more. They block as soon as they have written some more.
type Uncopied struct {
	PIDs       map[string]uint32 // their processes, by container
	Unwritable error             // why the log folder takes nothing. Nil: they can be started again
}

// SetUncopied replaces what is known. A container in it is started again if it still is that
// process, once its output can be written.
func (r *Runner) SetUncopied(u Uncopied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(u.PIDs) == 0 && len(r.desired.uncopied.PIDs) == 0 {
		return
	}
	r.desired.uncopied = u
	r.Wake(WakeHost)
}

// restarts adds to the asked-for restarts those of the processes that still run. A container that
// has ended by itself meanwhile is left to its restart policy.
func (u Uncopied) restarts(asked map[string]bool, containers []host.ContainerState) map[string]bool {
	if u.Unwritable != nil {
		return asked
	}
	all := asked
	for _, c := range containers {
		if c.Task == host.TaskRunning && c.PID != 0 && u.PIDs[c.Name] == c.PID {
			if all = maps.Clone(all); all == nil {
				all = map[string]bool{}
			}
			all[c.Name] = true
		}
	}
	return all
}

// problem returns what an operator should know while the containers can't be started again. It is
// nil if nothing is wrong.
func (u Uncopied) problem() error {
	if len(u.PIDs) == 0 || u.Unwritable == nil {
		return nil
	}
	names := strings.Join(slices.Sorted(maps.Keys(u.PIDs)), ", ")
	return &hint.Error{
		Err:  fmt.Errorf("the output of %s is lost, and it blocks when it prints more: %w; it is started again when there is space", names, u.Unwritable),
		Hint: "\"sallyport doctor\" shows what fills the disk",
	}
}
