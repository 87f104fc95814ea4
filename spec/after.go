package spec

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// noAfter is why an init and the ambassador have no `after`, as the end of a sentence.
var noAfter = map[string]string{
	"init":       "inits run one by one in the order of the file, before any sidecar. Remove the line, and move the block if it is in the wrong place",
	"ambassador": "the ambassador starts before everything else in its group. Remove the line",
}

// A wait is one name in the `after` of a sidecar or an app.
type wait struct {
	who  string
	role Role // of who; it waits for others of its role
	on   string
	at   hcl.Range
}

// after reads the containers of the same role that must be ready before this one starts, sorted.
// checkAfter checks the names.
func (d *groupDecoder) after(who string, role Role, r reader) []string {
	items, _ := r.list("after")
	var all []string
	for _, i := range items {
		if v, ok := d.convert(i.value, cty.String, elementOf("after"), i.at); ok {
			all = append(all, v.AsString())
			d.waits = append(d.waits, wait{who, role, v.AsString(), i.at})
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// checkAfter reports names that a container can't wait for: its own, one of another role, and one
// that waits for it in turn.
func (d *groupDecoder) checkAfter(g *Group) {
	roles, byRole := map[string]Role{}, map[Role][]string{}
	for _, c := range g.Containers {
		roles[c.Name] = c.Role
		byRole[c.Role] = append(byRole[c.Role], c.Name)
	}
	circles := circles{d: d, waits: map[string][]wait{}, done: map[string]bool{}}
	for _, w := range d.waits {
		others := byRole[w.role]
		switch role, ok := roles[w.on]; {
		case w.who == w.on:
			d.errorf(w.at, upperFirst(article(string(w.role)))+" after itself", "The %s %s would wait for itself, and never start. Take it out of the list.", w.role, quote(w.on))
		case !ok:
			d.errorf(w.at, "Unknown "+string(w.role), "There is no %s %s.%s The group has %s.", w.role, quote(w.on), DidYouMean(w.on, others), list(others))
		case role == w.role:
			circles.waits[w.who] = append(circles.waits[w.who], w)
		case role == App:
			d.errorf(w.at, "Not a sidecar", "%s is an app, and apps start when every sidecar is ready: this one would wait for ever. Take it out of the list.", quote(w.on))
		case w.role == App:
			d.errorf(w.at, "Not an app", "%s is the group's %s, and apps start when all of those are ready anyway. Take it out of the list.", quote(w.on), role)
		default:
			d.errorf(w.at, "Not a sidecar", "%s is the group's %s, which comes before every sidecar anyway. Take it out of the list.", quote(w.on), role)
		}
	}
	for _, name := range slices.Concat(byRole[Sidecar], byRole[App]) {
		circles.visit(name)
	}
}

// circles finds containers that wait for each other.
type circles struct {
	d     *groupDecoder
	waits map[string][]wait // by container: the others that it waits for
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
			c.d.errorf(w.at, upperFirst(string(w.role))+"s that wait for each other", "None of these would ever start: %s. Take one of them out of the lists.", strings.Join(append(slices.Clone(c.path[i:]), w.on), " after "))
			continue
		}
		c.visit(w.on)
	}
	c.path = c.path[:len(c.path)-1]
	c.done[name] = true
}
