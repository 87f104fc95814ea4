package runner

import (
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// A failedReload is the reload of one container that has failed so often in a row. While it is not
// due, the rest of the group goes on.
type failedReload struct {
	plan.FailedReload
	of    string // what was to be loaded
	tries int
	told  string // the error that an event has
}

func reloadOf(c *spec.Container) string { return c.Digest + "\n" + c.Loaded() }

// failedReloads returns the reloads that have failed. Those that are not needed any more are
// forgotten.
func (r *Runner) failedReloads(in plan.Input) map[string]plan.FailedReload {
	failed := map[string]plan.FailedReload{}
	for name, f := range r.reloads {
		if in.Observed.ContainersErr != nil { // unknown
			failed[name] = f.FailedReload
			continue
		}
		s, _ := in.Observed.Container(name)
		if g := in.ToRun(); g == nil || g.Container(name) == nil || reloadOf(g.Container(name)) != f.of || !in.NeedsReload(g.Container(name), s) {
			delete(r.reloads, name)
			continue
		}
		failed[name] = f.FailedReload
	}
	return failed
}

// noteFailedReload puts a reload off, each time for longer. An event has the error, once. It
// returns when the reload is due, and whether the error is another one than before.
func (r *Runner) noteFailedReload(s plan.Step, err error) (wait time.Duration, news bool) {
	for _, t := range s.Targets { // one
		f := r.reloads[t.Name]
		if of := reloadOf(s.Want.Container(t.Name)); f.of != of {
			f = failedReload{of: of}
		}
		f.tries++
		wait = restart.Backoff(f.tries, r.config.Rand())
		f.Next, f.Err = r.config.Now().Add(wait), err
		if text := hint.OneLine(err.Error()); f.told != text {
			f.told, news = text, true
			r.record(group.Event{Group: r.group, Container: t.Name, Kind: group.EventReloaded, Text: "not reloaded by " + t.ReloadText() + ", tried again: " + text})
		}
		if r.reloads == nil {
			r.reloads = map[string]failedReload{}
		}
		r.reloads[t.Name] = f
	}
	return wait, news
}
