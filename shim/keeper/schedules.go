package keeper

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/schedule"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// clockLook is the longest time between two looks at the clock while a group has a schedule. Timers
// don't notice that it is set.
const clockLook = 30 * time.Second

// schedules are the groups with a schedule.
type schedules struct {
	looking sync.Mutex    // held by followSchedules
	changed chan struct{} // there is something to look at
	// states has what is known, by group. The keeper's mu guards it. It is changed with looking
	// held.
	states map[string]store.Schedule
}

// wake has the goroutine look again.
func (s *schedules) wake() {
	select {
	case s.changed <- struct{}{}:
	default: // it will
	}
}

// watchSchedules begins runs when they are due, until ctx ends.
func (k *Keeper) watchSchedules(ctx context.Context) error {
	for {
		next, wait := k.followSchedules(), clockLook
		if !next.IsZero() {
			wait = min(wait, max(0, next.Sub(k.config.Now())))
		}
		var due <-chan time.Time
		if k.hasSchedules() {
			due = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due:
		case <-k.schedules.changed:
		}
	}
}

// hasSchedules reports whether a group has a schedule, or what is known of one is still to be
// forgotten.
func (k *Keeper) hasSchedules() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.schedules.states) > 0 {
		return true
	}
	for _, w := range k.wanted {
		if w.Group.Schedule != nil {
			return true
		}
	}
	return false
}

// followSchedules does what is due, and returns when the next run is. Zero means that none is.
func (k *Keeper) followSchedules() (next time.Time) {
	k.schedules.looking.Lock()
	defer k.schedules.looking.Unlock()
	if !k.hasLoaded() { // a stop may come before
		return time.Time{}
	}
	k.mu.Lock()
	complete := k.loaded.Complete()
	k.mu.Unlock()
	wanted := k.allWanted()
	for _, w := range wanted {
		if w.Group.Schedule == nil {
			continue
		}
		if at := k.followSchedule(&w); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if complete {
		k.forgetSchedules(wanted)
	}
	return next
}

// forgetSchedules forgets what is known of groups that have no schedule any more.
func (k *Keeper) forgetSchedules(wanted map[string]store.Wanted) {
	k.mu.Lock()
	var gone []string
	for name := range k.schedules.states {
		if wanted[name].Group.Schedule == nil {
			gone = append(gone, name)
			delete(k.schedules.states, name)
		}
	}
	k.mu.Unlock()
	for _, name := range gone {
		if err := k.config.Store.SetSchedule(name, nil); err != nil {
			k.config.Log.Warn(err.Error(), "group", name)
		}
	}
}

// followSchedule does what is due of one group, and returns when its next run is.
func (k *Keeper) followSchedule(w *store.Wanted) (next time.Time) {
	name, s, now := w.Group.Name, w.Group.Schedule, k.config.Now().Round(0)
	before := k.scheduleState(name)
	st := before
	if st.Cron != s.Cron || st.Timezone != s.Timezone || st.Suspended && !w.Stopped {
		st.Cron, st.Timezone, st.Handled = s.Cron, s.Timezone, now
	}
	if st.Suspended = w.Stopped; st.Seed == "" {
		st.Seed = rand.Text()
	}
	st.Handled = schedule.Handled(st.Handled, now)
	if last := k.ended(st.Last); last != nil {
		st.Last = last
	}
	timer, err := schedule.New(s, st.Seed)
	switch {
	case err != nil: // its zone was known when the file was read, and is not any more
		k.config.Log.Warn(err.Error(), "group", name)
	case !w.Stopped && !w.Missing:
		if d := timer.Decide(st.Handled, now); d.Action != schedule.Wait {
			st.Handled = d.Due
			st.Last = k.handleDue(w, st, d)
		}
		next = timer.Next(st.Handled, now)
	}
	if st == before {
		return next
	}
	if err := k.config.Store.SetSchedule(name, &st); err != nil {
		k.config.Log.Warn(err.Error(), "group", name)
	}
	k.mu.Lock()
	k.schedules.states[name] = st
	k.mu.Unlock()
	return next
}

// scheduleState returns what is known of a group's runs. The zero value means that nothing is.
func (k *Keeper) scheduleState(name string) store.Schedule {
	k.mu.Lock()
	st, ok := k.schedules.states[name]
	k.mu.Unlock()
	if ok {
		return st
	}
	kept, err := k.config.Store.Schedule(name)
	if err != nil {
		k.config.Log.Warn(err.Error()+"; its schedule counts from now", "group", name)
	}
	if kept == nil {
		return store.Schedule{}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.schedules.states[name] = *kept
	return *kept
}

// ended returns how a run has ended that is not over as far as the schedule knows. Nil means that
// there is nothing new. Of a run that is not known any more, the end never will be.
func (k *Keeper) ended(last *group.Run) *group.Run {
	if last == nil || last.State.Over() {
		return nil
	}
	now := *last
	now.State, now.Place = group.RunLost, 0
	if r := k.knownRun(last.ID); r != nil {
		now = r.status()
	}
	if !now.State.Over() {
		return nil
	}
	return &now
}

// handleDue deals with a due time, and returns the last run that has begun.
func (k *Keeper) handleDue(w *store.Wanted, st store.Schedule, d schedule.Decision) *group.Run {
	name := w.Group.Name
	id := group.ScheduledRunID(name, st.Seed, d.Due)
	due := d.Due.Format(time.RFC3339)
	if r := k.knownRun(id); r != nil { // an earlier daemon has begun it, and could not write that down
		now := r.status()
		return &now
	}
	record := func(text string) {
		k.config.Record(group.Event{Group: name, Kind: group.EventSchedule, Text: text})
	}
	if d.Action == schedule.Miss {
		record(fmt.Sprintf("the run of %s was missed: no daemon was there to begin it, or the clock was set", due))
		return st.Last
	}
	if other := k.scheduledRun(name); other != "" {
		record(fmt.Sprintf("the run of %s is skipped: %s still goes on", due, other))
		return st.Last
	}
	run, err := k.beginScheduled(w, id)
	if err != nil {
		record(fmt.Sprintf("the run of %s is not run: %s", due, hint.OneLine(err.Error())))
		return st.Last
	}
	text := fmt.Sprintf("the run of %s begins: %s", due, id)
	if d.Late {
		text += ", late"
	}
	record(text)
	return &run
}

// beginScheduled begins a run of a group with a schedule.
func (k *Keeper) beginScheduled(w *store.Wanted, id string) (group.Run, error) {
	definition, diags := spec.AsRun(spec.Source{Name: w.File}, []spec.Group{w.Group}, spec.RunChange{Name: id, Group: w.Group.Name})
	if diags.HasErrors() { // a run refuses nothing that a schedule takes
		return group.Run{}, diags
	}
	r := newRun(group.Run{
		ID: id, Group: w.Group.Name, File: w.File, App: appOf(&definition).Name, State: group.RunQueued,
		By: bySchedule(w.Group.Name), Detached: true, Queued: k.config.Now(),
	}, definition)
	if b, ok := k.config.Store.Installed(w.File); ok {
		r.locked = group.ImageDigests(nil).LockedIn(b, &w.Group)
	}
	return k.acceptRun(r)
}

// bySchedule is who has begun the runs of a group with a schedule.
func bySchedule(name string) string { return "schedule " + name }

// scheduledRun returns a run of a group's schedule that is not gone yet, or "".
func (k *Keeper) scheduledRun(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, r := range k.runs.all {
		if !closed(r.settled) && r.status().By == bySchedule(name) {
			return id
		}
	}
	return ""
}

// endScheduled ends the runs of the schedules of groups that were removed, and waits until they are
// over.
func (k *Keeper) endScheduled(ctx context.Context, groups ...string) error {
	for _, name := range groups {
		if r := k.knownRun(k.scheduledRun(name)); r != nil && k.wantedGroup(name) == nil {
			if err := k.stopRun(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// addSchedule adds to the status of a group when it runs next, and how it ran last. The caller
// holds mu.
func (k *Keeper) addSchedule(st *group.Status, w *store.Wanted) {
	if w.Group.Schedule == nil {
		return
	}
	state, ok := k.schedules.states[w.Group.Name]
	if !ok {
		return
	}
	if last := state.Last; last != nil {
		now := *last
		if r := k.runs.all[last.ID]; r != nil {
			now = r.status()
		}
		st.LastRun = &now
	}
	if w.Stopped {
		return
	}
	if timer, err := schedule.New(w.Group.Schedule, state.Seed); err == nil {
		st.NextRun = timer.Next(state.Handled, k.config.Now())
	}
}

// nextText returns when the next run of a group is, if that is applied now. It is empty for a group
// without a schedule.
func (k *Keeper) nextText(g *spec.Group) string {
	if g.Schedule == nil {
		return ""
	}
	now := k.config.Now().Round(0)
	k.mu.Lock()
	state, known := k.schedules.states[g.Name]
	w := k.wanted[g.Name]
	k.mu.Unlock()
	if w.Stopped {
		return "stays stopped"
	}
	if !known || state.Cron != g.Schedule.Cron || state.Timezone != g.Schedule.Timezone {
		state.Handled = now
	}
	timer, err := schedule.New(g.Schedule, state.Seed)
	if err != nil {
		return ""
	}
	return "next run " + timer.Next(state.Handled, now).Format(time.RFC3339)
}

// errScheduled refuses a verb that makes no sense for a group with a schedule.
func errScheduled(name, verb, file string) error {
	return &hint.Error{
		Err:  fmt.Errorf("group %s has a schedule, and never runs itself: it can't be %s", name, verb),
		Hint: fmt.Sprintf("\"sallyport run ls\" lists its runs, and \"sallyport run FILE\" with %s runs it now", file),
	}
}
