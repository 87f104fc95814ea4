package reach

import (
	"fmt"

	"github.com/sallyport/sallyport/spec"
)

// bounds returns the limits of the door that are wider after a change, and those that are narrower, in words.
// A door that is new or gone as a whole has no such change.
func bounds(before, after *spec.Group) (opens, closes []string) {
	old, now := doorOf(before), doorOf(after)
	if old == nil || now == nil {
		return nil, nil
	}
	was := old.Limits()
	for i, is := range now.Limits() {
		text := fmt.Sprintf("%s may %s %s, %s before", now.Title(), is.Verb, limitWords(is), limitWords(was[i]))
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

func limitWords(l spec.DoorLimit) string {
	if l.Value == 0 {
		return "without bound"
	}
	return l.Text
}

func doorOf(g *spec.Group) *spec.Container {
	if g == nil || g.Egress != spec.EgressAmbassador {
		return nil
	}
	return g.Ambassador()
}
