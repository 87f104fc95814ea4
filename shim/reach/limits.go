package reach

import (
	"fmt"

	"github.com/sallyport/sallyport/spec"
)

// limitChanges returns the door's limits that are wider after a change, and those that are
// narrower, in words. There are none if the whole door is new or gone.
func limitChanges(before, after *spec.Group) (opens, closes []string) {
	old, now := doorOf(before), doorOf(after)
	if old == nil || now == nil {
		return nil, nil
	}
	was := old.Limits()
	for i, is := range now.Limits() {
		text := fmt.Sprintf("%s may %s %s, %s before", now.Title(), is.Verb, limitText(is), limitText(was[i]))
		switch {
		case was[i].Value == is.Value:
		case is.Value == 0 || was[i].Value != 0 && is.Value > was[i].Value:
			opens = append(opens, text)
		default:
			closes = append(closes, text)
		}
	}
	return opens, closes
}

// limitText returns a limit after the verb: "2Mbit a second".
func limitText(l spec.DoorLimit) string {
	if l.Value == 0 {
		return "without a limit"
	}
	return l.Text
}

// doorOf returns the ambassador if it is the group's door. It is nil if there is no such door.
func doorOf(g *spec.Group) *spec.Container {
	if g == nil || g.Egress != spec.EgressAmbassador {
		return nil
	}
	return g.Ambassador()
}
