package runner

import (
	"slices"

	"github.com/sallyport/sallyport/shim/host"
)

// SetBounds replaces what is known of the group's bounds on disk. generation is the one that they
// are of: those of another one are dropped. The group ends by a soft bound that two counts in a row
// have found passed. One count may have met a file that was about to be deleted.
func (r *Runner) SetBounds(generation int, bounds []host.Bound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desired.generation() != generation {
		return
	}
	if i := slices.IndexFunc(bounds, r.passedAgain); i >= 0 && r.desired.passed == nil {
		r.desired.passed = &bounds[i]
		r.Wake(WakeHost)
	}
	r.desired.bounds, r.status.Bounds = bounds, bounds
}

// passedAgain reports whether a soft bound is passed, and was passed at an earlier count too. The
// caller holds mu.
func (r *Runner) passedAgain(now host.Bound) bool {
	return !now.Hard && now.Passed() && slices.ContainsFunc(r.desired.bounds, func(before host.Bound) bool {
		return before.Title() == now.Title() && before.Path == now.Path && before.Passed() && !before.At.Equal(now.At)
	})
}

// forgetBounds makes the next counts the first ones. The caller holds mu.
func (r *Runner) forgetBounds() { r.desired.bounds, r.desired.passed = nil, nil }

// endRecorded notes that the group's end is recorded, by a bound or not.
func (r *Runner) endRecorded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetBounds()
}
