package shim

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// Cgroups holds a group to the bounds on all of it together. Implemented by [HostCgroups]; in memory by shimtest.Host. What it
// makes goes with the group's network, whose Remove takes the cgroups away.
type Cgroups interface {
	// Bounded says whether the group is held to just the bounds it is to have.
	Bounded(ctx context.Context, want *spec.Group) Presence
	// Limit holds the group to its bounds, and to no others, whatever of it runs. A second call changes nothing.
	Limit(ctx context.Context, want *spec.Group) error
}

// ErrNoIOWeight is a kernel on which io_weight has no meaning.
var ErrNoIOWeight = errors.New("this host shares its disks by no weight")

// NoIOWeightHint is what to do about ErrNoIOWeight.
const NoIOWeightHint = "use a kernel with CONFIG_BLK_CGROUP_IOCOST, or with the BFQ scheduler (try \"modprobe bfq\"), or take io_weight out of the resources"

// limits is what has to be done about the group's bounds, before anything starts.
func (in PlanInput) limits(starts bool) []Step {
	blind := in.Observed.Bounds == Unknown && starts && in.Want.Resources != spec.Resources{}
	if !in.sealable() || in.Observed.Bounds != Absent && !blind {
		return nil
	}
	return []Step{{Kind: Limit, Group: in.Group, Want: in.Want}}
}

// limitText is the bounds in an operator's words.
func limitText(g *spec.Group) string {
	r := g.Resources
	var words []string
	if r.CPU != 0 {
		words = append(words, fmt.Sprintf("%g cores", r.CPU))
	}
	if r.Memory != 0 {
		words = append(words, spec.FormatSize(r.Memory)+" of memory")
	}
	switch {
	case r.Swap == nil:
	case *r.Swap == 0:
		words = append(words, "no swap")
	default:
		words = append(words, spec.FormatSize(*r.Swap)+" of swap")
	}
	if r.PIDs != 0 {
		words = append(words, fmt.Sprintf("%d processes", r.PIDs))
	}
	if r.IOWeight != 0 {
		words = append(words, fmt.Sprintf("disk weight %d", r.IOWeight))
	}
	if len(words) == 0 {
		return "limit " + g.Name + " to nothing: it has no bounds of its own any more"
	}
	return "limit " + g.Name + " to " + strings.Join(words, ", ")
}
