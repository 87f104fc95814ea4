package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// limits returns the step that sets the group's limits. Unknown limits are set again before
// something starts.
func (in Input) limits(starts bool) []Step {
	again := in.Observed.Limits == host.Unknown && starts && limited(in.Want)
	if !in.rulesAssured() || in.Observed.Limits != host.Absent && !again {
		return nil
	}
	return []Step{{Kind: Limit, Group: in.Group, Want: in.Want}}
}

// limited reports whether the group has limits of its own, or a container has a disk weight or a
// bound on disk. The runtime sets the other limits of containers.
func limited(g *spec.Group) bool {
	return g.Resources != spec.Resources{} || g.BoundedDisk() || slices.ContainsFunc(g.Containers, func(c spec.Container) bool { return c.Resources.IOWeight != 0 })
}

// limitText returns the limits in an operator's words.
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
	for _, c := range g.Containers {
		if c.Resources.IOWeight != 0 {
			words = append(words, fmt.Sprintf("disk weight %d for %s", c.Resources.IOWeight, c.Name))
		}
	}
	for _, c := range g.Containers {
		if c.Resources.Disk != 0 {
			words = append(words, fmt.Sprintf("%s of disk for %s", spec.FormatSize(c.Resources.Disk), c.Name))
		}
	}
	if len(words) == 0 {
		return "limit " + g.Name + " to nothing: it has no limits of its own any more"
	}
	return "limit " + g.Name + " to " + strings.Join(words, ", ")
}
