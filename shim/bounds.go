package shim

import (
	"fmt"

	"github.com/sallyport/sallyport/spec"
)

// A bound is one limit of the door, before a change and after it. Zero is no limit.
type bound struct {
	before, after int64
	what          string             // "proxy (ambassador) may send"
	text          func(int64) string // a limit in words: "2Mbit a second"
}

// bounds says which limits of the door are wider after a change, and which are narrower. A door that is new or gone is told
// of as a whole.
func bounds(before, after *spec.Group) (opens, closes []string) {
	old, now := doorOf(before), doorOf(after)
	if old == nil || now == nil {
		return nil, nil
	}
	who := now.Title()
	for _, b := range []bound{
		{old.Rate.Out, now.Rate.Out, who + " may send", perSecond},
		{old.Rate.In, now.Rate.In, who + " may receive", perSecond},
		{old.Quota, now.Quota, who + " may exchange", spec.FormatSize},
	} {
		switch {
		case b.before == b.after:
		case b.after == 0 || b.before != 0 && b.after > b.before:
			opens = append(opens, b.String())
		default:
			closes = append(closes, b.String())
		}
	}
	return opens, closes
}

func doorOf(g *spec.Group) *spec.Container {
	if g == nil || g.Egress != spec.EgressAmbassador {
		return nil
	}
	return g.Ambassador()
}

func (b bound) String() string {
	limit := func(n int64) string {
		if n == 0 {
			return "without bound"
		}
		return b.text(n)
	}
	return fmt.Sprintf("%s %s, %s before", b.what, limit(b.after), limit(b.before))
}

func perSecond(bits int64) string { return spec.FormatRate(bits) + " a second" }
