// Package diff names what differs between two definitions of a group, attribute by attribute, in
// the words of a group file. It is pure.
//
// Pitfall: a value that comes from a sensitive variable in either definition is hidden in both. So
// nothing here may print a value that did not pass [leaf.text].
package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// A Kind is how something differs.
type Kind string

const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Hidden stands in the place of a sensitive value.
const Hidden = "(sensitive)"

// A Change is one thing that differs between two definitions of a group. Its JSON is part of the
// control socket's protocol, and is kept with each generation.
type Change struct {
	// At most one of these three is set. None means the group itself.
	Container string `json:"container,omitempty"`
	Volume    string `json:"volume,omitempty"`
	Variable  string `json:"variable,omitempty"`
	// Attribute is the path of the attribute: "image", "env.LEVEL", "file /etc/x.mode". It is empty
	// for a container or volume that was added or removed, and for a variable.
	Attribute string `json:"attribute,omitempty"`
	// Block means that the attribute is a block with a label, which was added or removed.
	Block bool `json:"block,omitempty"`
	Kind  Kind `json:"change"`
	// Before and Now are the values as a group file has them, and cut if they are long. Empty means
	// that there is none, or that only Lines is known.
	Before string `json:"before,omitempty"`
	Now    string `json:"now,omitempty"`
	// Lines is how many lines of a file's content differ.
	Lines     int  `json:"lines,omitempty"`
	Sensitive bool `json:"sensitive,omitempty"` // the values are hidden
}

// Groups returns what differs between an earlier definition of a group and that of now: the group's
// attributes, then the containers, the volumes and the variables. A nil before or now has no
// attributes, and the result is nil: a group that comes or goes does not differ from itself. The
// order of blocks counts for inits alone, which run one after the other.
func Groups(before, now *spec.Group) (changes []Change) {
	if before == nil || now == nil {
		return nil
	}
	hidden := hidingOf(before, now)
	was, is := sideOf(before, hidden), sideOf(now, hidden)
	for _, name := range merged(was.order, is.order) {
		changes = append(changes, compare(was.parts[name], is.parts[name])...)
	}
	changes = append(changes, order(before, now)...)
	slices.SortStableFunc(changes, func(a, b Change) int { return a.rank() - b.rank() })
	return append(changes, variables(before, now)...)
}

// rank orders the group's own attributes before the containers, and those before the volumes.
func (c Change) rank() int {
	switch {
	case c.Volume != "":
		return 2
	case c.Container != "":
		return 1
	}
	return 0
}

// merged returns the names of both lists, those of the second one in their order.
func merged(was, is []string) []string {
	all, seen := slices.Clone(is), map[string]bool{}
	for _, name := range is {
		seen[name] = true
	}
	return append(all, slices.DeleteFunc(slices.Clone(was), func(name string) bool { return seen[name] })...)
}

// compare returns what differs of a group, a container or a volume. One of them may be nil.
func compare(was, is *part) (changes []Change) {
	switch {
	case was == nil:
		return []Change{is.whole(Added)}
	case is == nil:
		return []Change{was.whole(Removed)}
	}
	gone := map[string]bool{} // blocks that only one side has
	for _, path := range merged(was.order, is.order) {
		a, b := was.leaves[path], is.leaves[path]
		if gone[cmp.Or(b, a).block] {
			continue
		}
		c, differs := difference(a, b)
		if !differs {
			continue
		}
		c.Container, c.Volume, c.Attribute = is.container, is.volume, path
		if c.Block = cmp.Or(b, a).isBlock; c.Block {
			gone[path] = true
			c.Before, c.Now = was.contents(path), is.contents(path)
		}
		changes = append(changes, c)
	}
	return changes
}

// difference returns how two values of one attribute differ. nil is no value.
func difference(a, b *leaf) (c Change, differs bool) {
	switch {
	case a == nil:
		return Change{Kind: Added, Now: b.text(), Sensitive: b.hidden}, true
	case b == nil:
		return Change{Kind: Removed, Before: a.text(), Sensitive: a.hidden}, true
	case a.value == b.value:
		return Change{}, false
	case b.content && !b.hidden && IsText(a.value) && IsText(b.value):
		return Change{Kind: Changed, Lines: Lines(a.value, b.value)}, true
	}
	return Change{Kind: Changed, Before: a.text(), Now: b.text(), Sensitive: b.hidden}, true
}

// order returns a change of the order of the inits that both have.
func order(before, now *spec.Group) []Change {
	inits := func(g, other *spec.Group) (names []string) {
		for _, c := range g.Containers {
			if o := other.Container(c.Name); c.Role == spec.Init && o != nil && o.Role == spec.Init {
				names = append(names, c.Name)
			}
		}
		return names
	}
	was, is := inits(before, now), inits(now, before)
	if slices.Equal(was, is) {
		return nil
	}
	return []Change{{Attribute: "order of inits", Kind: Changed, Before: list(was), Now: list(is)}}
}

// variables returns the variables whose values differ. One that only one definition has, or that is
// sensitive in one, is left out: no value is known.
func variables(before, now *spec.Group) (changes []Change) {
	for _, is := range now.Variables {
		i := slices.IndexFunc(before.Variables, func(v spec.Variable) bool { return v.Name == is.Name })
		if i < 0 {
			continue
		}
		was := before.Variables[i]
		a, b := VariableText(was), VariableText(is)
		if was.Sensitive || is.Sensitive || a == "" || b == "" || a == b {
			continue
		}
		changes = append(changes, Change{Variable: is.Name, Kind: Changed, Before: a, Now: b})
	}
	return changes
}

// Title returns the name of what the attribute is of: "web", "volume data", "var.tag". It is empty
// for the group itself.
func (c Change) Title() string {
	switch {
	case c.Variable != "":
		return "var." + c.Variable
	case c.Volume != "":
		return "volume " + c.Volume
	}
	return c.Container
}

// String returns the change on one line: web: image: "a:1" -> "a:2".
func (c Change) String() string {
	attribute := c.Attribute
	if c.Lines > 0 {
		attribute = strings.TrimSuffix(attribute, ".content")
	}
	words := slices.DeleteFunc([]string{c.Title(), attribute}, func(s string) bool { return s == "" })
	return strings.Join(append(words, c.values()), ": ")
}

func (c Change) values() string {
	const none = "none"
	switch {
	case c.Lines > 0:
		return fmt.Sprintf("content differs (%s)", lines(c.Lines))
	case c.Kind == Changed && c.Before == "" && c.Now == "":
		return "differs"
	case c.Kind == Changed:
		return c.Before + " -> " + c.Now
	case c.Attribute == "" || c.Block:
		return strings.TrimSuffix(string(c.Kind)+": "+c.Before+c.Now, ": ")
	case c.Kind == Added:
		return strings.TrimSuffix(none+" -> "+c.Now, " -> ")
	}
	return strings.TrimPrefix(c.Before+" -> "+none, " -> ")
}

func lines(n int) string {
	if n == 1 {
		return "1 line"
	}
	return fmt.Sprintf("%d lines", n)
}

// Short returns what differs, without values: "image of web", "web added".
func (c Change) Short() string {
	switch {
	case c.Attribute == "" && c.Variable == "":
		return c.Title() + " " + string(c.Kind)
	case c.Attribute == "":
		return c.Title()
	case c.Title() == "":
		return c.Attribute
	}
	return c.Attribute + " of " + c.Title()
}

// maxSummary is how many changes a summary names.
const maxSummary = 6

// Summary returns the changes on one line, without values: "image of web, env.LEVEL of web". There
// are so many more besides.
func Summary(changes []Change, more int) string {
	var words []string
	for _, c := range changes[:min(len(changes), maxSummary)] {
		words = append(words, c.Short())
	}
	if more += max(len(changes)-maxSummary, 0); more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}

// WithoutValues returns the changes for those who may not see what is in a group file.
func WithoutValues(changes []Change) []Change {
	plain := slices.Clone(changes)
	for i := range plain {
		plain[i].Before, plain[i].Now, plain[i].Lines = "", "", 0
	}
	return plain
}

// Hide returns the changes without the values that are sensitive in one of the definitions, which
// are of one group, or by [spec.SensitiveParts]. They may have been recorded before they were.
func Hide(changes []Change, parts map[string]bool, groups ...*spec.Group) []Change {
	h, plain, found := hidingOf(groups...), slices.Clone(changes), spec.NewParts(parts)
	for i, c := range plain {
		byText := c.Container != "" && found.Has(groups[0].Name, c.Container, partOf(c.Attribute))
		if byText || h.hides(c.Container, c.Attribute) || c.Variable != "" && parts["var."+c.Variable] {
			plain[i].Sensitive, plain[i].Lines = true, 0
			plain[i].Before, plain[i].Now = hiddenIf(c.Kind != Added), hiddenIf(c.Kind != Removed)
		}
	}
	return plain
}

func hiddenIf(present bool) string {
	if present {
		return Hidden
	}
	return ""
}
