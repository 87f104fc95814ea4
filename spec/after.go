package spec

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// sidecarOnly is why the other containers' blocks have no `after`, as the end of a sentence.
var sidecarOnly = map[string]string{
	"app":        "apps start together, when every sidecar is ready. Remove the line, or make a sidecar of what the others wait for",
	"init":       "inits run one by one in the order of the file, before any sidecar. Remove the line, and move the block if it is in the wrong place",
	"ambassador": "the ambassador starts before everything else in its group. Remove the line",
}

// A wait is one name in a sidecar's `after`.
type wait struct {
	who, on string
	at      hcl.Range
}

// after reads the sidecars that must be ready before this one starts, sorted. checkAfter checks the
// names.
func (d *groupDecoder) after(who string, r reader) []string {
	items, _ := r.list("after")
	var all []string
	for _, i := range items {
		if v, ok := d.convert(i.value, cty.String, elementOf("after"), i.at); ok {
			all = append(all, v.AsString())
			d.waits = append(d.waits, wait{who, v.AsString(), i.at})
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// checkAfter reports names that a sidecar can't wait for: its own, one that is no sidecar's, and
// one that waits for it in turn.
func (d *groupDecoder) checkAfter(g *Group) {
	roles := map[string]Role{}
	var sidecars []string
	for _, c := range g.Containers {
		roles[c.Name] = c.Role
		if c.Role == Sidecar {
			sidecars = append(sidecars, c.Name)
		}
	}
	circles := circles{d: d, waits: map[string][]wait{}, done: map[string]bool{}}
	for _, w := range d.waits {
		switch role, ok := roles[w.on]; {
		case w.who == w.on:
			d.errorf(w.at, "A sidecar after itself", "The sidecar %s would wait for itself, and never start. Take it out of the list.", quote(w.on))
		case !ok:
			d.errorf(w.at, "Unknown sidecar", "There is no sidecar %s.%s The group has %s.", quote(w.on), DidYouMean(w.on, sidecars), list(sidecars))
		case role == App:
			d.errorf(w.at, "Not a sidecar", "%s is an app, and apps start when every sidecar is ready: this one would wait for ever. Take it out of the list.", quote(w.on))
		case role != Sidecar:
			d.errorf(w.at, "Not a sidecar", "%s is the group's %s, which comes before every sidecar anyway. Take it out of the list.", quote(w.on), role)
		default:
			circles.waits[w.who] = append(circles.waits[w.who], w)
		}
	}
	for _, name := range sidecars {
		circles.visit(name)
	}
}

// circles finds sidecars that wait for each other.
type circles struct {
	d     *groupDecoder
	waits map[string][]wait // by sidecar: the others that it waits for
	path  []string          // from the first visited to here
	done  map[string]bool
}

func (c *circles) visit(name string) {
	if c.done[name] {
		return
	}
	c.path = append(c.path, name)
	for _, w := range c.waits[name] {
		if i := slices.Index(c.path, w.on); i >= 0 {
			c.d.errorf(w.at, "Sidecars that wait for each other", "None of these would ever start: %s. Take one of them out of the lists.", strings.Join(append(slices.Clone(c.path[i:]), w.on), " after "))
			continue
		}
		c.visit(w.on)
	}
	c.path = c.path[:len(c.path)-1]
	c.done[name] = true
}
