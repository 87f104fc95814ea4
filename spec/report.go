package spec

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// A report collects the mistakes of one file or one group.
type report struct {
	diags hcl.Diagnostics
	at    map[int]int // how many mistakes begin at each byte

	key  string          // the key of for_each that mistakes are for; "" outside of it
	said map[string]bool // the mistakes that were reported for a key
}

// maxMistakesAt limits the mistakes that are reported at one place. A list that is computed has one
// place for all its elements.
const maxMistakesAt = 10

// errorf reports a mistake: a short summary, and a detail with what to do about it.
func (r *report) errorf(at hcl.Range, summary, detail string, args ...any) {
	r.add(hcl.DiagError, at, summary, fmt.Sprintf(detail, args...))
}

// warnf reports something that is allowed but risky.
func (r *report) warnf(at hcl.Range, summary, detail string, args ...any) {
	r.add(hcl.DiagWarning, at, summary, fmt.Sprintf(detail, args...))
}

func (r *report) add(severity hcl.DiagnosticSeverity, at hcl.Range, summary, detail string) {
	if r.repeats(at, summary, detail) {
		return
	}
	if r.at == nil {
		r.at = map[int]int{}
	}
	if r.at[at.Start.Byte]++; r.at[at.Start.Byte] > maxMistakesAt {
		return
	}
	r.diags = append(r.diags, &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: forKey(detail, r.key), Subject: &at})
}

// addAll reports the mistakes of an evaluation.
func (r *report) addAll(diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Subject == nil || !r.repeats(*d.Subject, d.Summary, d.Detail) {
			d.Detail = forKey(d.Detail, r.key)
			r.diags = append(r.diags, d)
		}
	}
}

// repeats reports whether a mistake was reported for another key of for_each, in the same words.
func (r *report) repeats(at hcl.Range, summary, detail string) bool {
	if r.key == "" {
		return false
	}
	if r.said == nil {
		r.said = map[string]bool{}
	}
	id := fmt.Sprint(at.Start.Byte, " ", summary, " ", detail)
	repeated := r.said[id]
	r.said[id] = true
	return repeated
}

func (r *report) append(other *report) { r.diags = append(r.diags, other.diags...) }

func (r *report) hasErrors() bool { return r.diags.HasErrors() }

// mentions reports whether something has already been reported inside the range.
func (r *report) mentions(at hcl.Range) bool {
	return slices.ContainsFunc(r.diags, func(d *hcl.Diagnostic) bool { return d.Subject != nil && d.Subject.Overlaps(at) })
}

// unique reports a name (or path, or port) that was seen before, and remembers a new one.
func (r *report) unique(seen map[string]hcl.Range, what, name string, at hcl.Range) bool {
	if first, ok := seen[name]; ok {
		r.errorf(at, "Duplicate "+what, "There is already %s %s, on line %d. Rename one of the two, or remove it.", article(what), quote(name), first.Start.Line)
		return false
	}
	seen[name] = at
	return true
}

// sorted returns the mistakes in the order of the file. Those without a place come first.
func (r *report) sorted() hcl.Diagnostics {
	slices.SortStableFunc(r.diags, func(a, b *hcl.Diagnostic) int { return cmp.Compare(startByte(a), startByte(b)) })
	return r.diags
}

func startByte(d *hcl.Diagnostic) int {
	if d.Subject == nil {
		return -1
	}
	return d.Subject.Start.Byte
}
