package plan

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// limits is what has to be done about the group's bounds, before anything starts.
func (in Input) limits(starts bool) []Step {
	blind := in.Observed.Limits == host.Unknown && starts && in.Want.Resources != spec.Resources{}
	if !in.sealable() || in.Observed.Limits != host.Absent && !blind {
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
