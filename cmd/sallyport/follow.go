package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

const (
	// followStart is how long the first start of a unit waits for its group. A boot waits for the
	// unit as long.
	followStart = 3 * time.Minute
	followPoll  = 10 * time.Second       // between two looks at the group without an event
	followRetry = 500 * time.Millisecond // between two tries to reach the daemon
)

type followVerb struct {
	Group string `arg:"" help:"The group."`
	Unit  string `placeholder:"UNIT" help:"The unit of systemd that runs this command. Its start starts the group, and its stop stops it."`
}

// Run follows a group until it does not run any more. In a unit of systemd it makes the unit's
// state the group's: the unit is active while the group runs. Without a unit it changes nothing.
//
// The unit's start by an operator starts a group that was stopped or has ended. A boot and a
// restart by systemd don't. The unit's stop stops the group, but a shutdown of the host doesn't:
// the next boot is to bring it back.
func (v *followVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	l, err := in.layout(paths{})
	if err != nil {
		return err
	}
	log := newLog(ui, slog.LevelInfo)
	f := &follower{
		group: v.Group, daemon: api.NewClient(l.Socket()).WithPatience(patience),
		notify: func(state string) { notifySystemd(log, state) },
		tell:   func(line string) { ui.notef("%s", line) },
	}
	if v.Unit != "" {
		if f.first, f.start, err = unitStart(ctx, v.Unit); err != nil && ctx.Err() == nil {
			return err
		}
	}
	err = f.follow(ctx)
	if ctx.Err() == nil {
		return err
	}
	if v.Unit == "" {
		return nil
	}
	return f.stop(context.WithoutCancel(ctx), systemState)
}

// A followed is the part of the daemon that a follower uses. Implemented by [api.Client].
type followed interface {
	eventer
	Status(ctx context.Context, group string) ([]group.Status, error)
	Start(ctx context.Context, group string, progress func(line string)) error
	Stop(ctx context.Context, group string, progress func(line string)) error
}

var _ followed = (*api.Client)(nil)

// An eventer has the events of groups. Implemented by [api.Client].
type eventer interface {
	Events(ctx context.Context, q group.EventQuery, emit func(group.Event) error) error
}

// A follower follows one group.
type follower struct {
	group  string
	daemon followed
	notify func(state string) // for systemd
	tell   func(line string)  // for the operator, a line
	first  bool               // a job of systemd waits for the group
	start  bool               // the group is to be started if it was stopped or has ended
}

// follow returns when the group does not run any more. A nil error means that it has ended well.
func (f *follower) follow(ctx context.Context) error {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	wake := changes(watch, f.daemon, group.EventQuery{Group: f.group, Kinds: []group.EventKind{group.EventState}})
	late := time.NewTimer(followStart)
	defer late.Stop()
	if !f.first {
		late.Stop()
	}
	for ready, waits := false, false; ; {
		st, err := f.daemon.Status(ctx, f.group)
		if err == nil {
			waits = false
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, group.ErrNoGroup):
			return fmt.Errorf("group %s: %w", f.group, err)
		case err != nil:
			// A daemon that does not answer changes nothing.
			if !waits {
				f.tell("waits for the daemon: " + err.Error())
			}
			waits = true
		case len(st) == 0, st[0].Since.IsZero():
			// Neither does one that has not looked at the group yet.
		case st[0].State == group.Running, st[0].State == group.Scheduled: // a schedule in force is all that its group does
			f.start = false
			if !ready {
				f.notify("READY=1\nSTATUS=group " + f.group + " is " + string(st[0].State))
				late.Stop()
			}
			ready = true
		case f.start && isDown(st[0]):
			f.start = false
			if err := f.startGroup(ctx); err != nil {
				return err
			}
			continue
		case st[0].Ended && isDown(st[0]):
			return f.ended(st[0])
		case ready, f.first && !f.start && isDown(st[0]):
			return f.again("is " + string(st[0].State))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			return f.again(fmt.Sprintf("does not run after %v", followStart))
		case <-wake:
		}
	}
}

// isDown reports whether nothing of the group runs, and nothing is to run by itself.
func isDown(st group.Status) bool { return st.State == group.Stopped || st.State == group.Completed }

// ended returns how a group has ended by itself. A nil error means that its apps have ended well.
func (f *follower) ended(st group.Status) error {
	well := st.State == group.Completed
	for _, c := range st.Containers {
		well = well && (c.Role != spec.App || c.ExitStatus == nil || *c.ExitStatus == 0)
	}
	if well {
		f.notify("READY=1\nSTATUS=group " + f.group + " has completed") // else its end is a failure of the unit
		return nil
	}
	return fmt.Errorf("group %s is %s: %s", f.group, st.State, cmp.Or(st.Error, "it has ended with a failure"))
}

// again ends the command. The unit starts it again, and waits for the group.
func (f *follower) again(why string) error {
	f.tell("group " + f.group + " " + why)
	return exitStatus(statusAgain)
}

// startGroup starts the group. If that does not work for now, the daemon goes on with it.
func (f *follower) startGroup(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, followStart)
	defer cancel()
	if err := f.daemon.Start(bounded, f.group, f.tell); err != nil && ctx.Err() == nil {
		return f.again("does not start: " + err.Error())
	}
	return nil
}

// changes returns a channel that receives after each event that the query selects, and from time to
// time. It stops when ctx ends.
func changes(ctx context.Context, daemon eventer, q group.EventQuery) <-chan struct{} {
	wake := make(chan struct{}, 1)
	send := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	q.Follow, q.Tail = true, 1 // with the last event: a change before the events begin is not missed
	go func() {
		for ctx.Err() == nil {
			bounded, cancel := context.WithTimeout(ctx, followPoll)
			_ = daemon.Events(bounded, q, func(group.Event) error { send(); return nil }) // Status has the error
			if bounded.Err() == nil {
				sleep(ctx, followRetry)
			}
			cancel()
			send()
		}
	}()
	return wake
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// stop stops the group, unless the whole host is going down. If that is not known, it stops
// nothing.
func (f *follower) stop(ctx context.Context, hostState func(context.Context) (string, error)) error {
	state, err := hostState(ctx)
	if err != nil {
		return fmt.Errorf("group %s was not stopped, since it is unknown whether the host shuts down: %w", f.group, err)
	}
	if state == hostStopping {
		f.tell("the host shuts down: group " + f.group + " comes back with the next boot")
		return nil
	}
	return f.daemon.Stop(ctx, f.group, f.tell)
}
