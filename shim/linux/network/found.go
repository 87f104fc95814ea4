package network

import (
	"maps"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// findings are when observations of a group's network last found it as wanted, and otherwise.
type findings struct {
	right time.Time // when the last that found it as wanted began
	wrong time.Time // when the last that found it otherwise ended
}

// A foundGroups remembers what observations have found, for a [Drift].
type foundGroups struct {
	mu     sync.Mutex
	groups map[string]findings
}

// of returns what was found of a group. It is zero for one that was not observed.
func (f *foundGroups) of(group string) findings {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.groups[group]
}

// note adds what an observation has found that began at a time. A group that is not wanted is never
// as wanted.
func (f *foundGroups) note(group string, want *spec.Group, began time.Time, s host.NetState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.groups == nil {
		f.groups = map[string]findings{}
	}
	found := f.groups[group]
	if isAsWanted(want, s) {
		found.right = began
	} else {
		found.wrong = time.Now()
	}
	f.groups[group] = found
}

func isAsWanted(want *spec.Group, s host.NetState) bool {
	if want == nil {
		return false
	}
	link := host.Present
	if want.Egress == spec.EgressNone {
		link = host.Absent
	}
	return s.Pinned == host.Present && s.Namespace == host.Present && s.Rules == host.Present && s.Link == link
}

// forgetOthers forgets all groups but those that kept has.
func (f *foundGroups) forgetOthers(kept map[string]bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.groups, func(group string, _ findings) bool { return !kept[group] })
}
