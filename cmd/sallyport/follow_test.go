package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

// A followedGroup is a daemon with one group. It records what it is asked to change, and what
// systemd is sent.
type followedGroup struct {
	mu      sync.Mutex
	status  []group.Status // empty: there is no such group
	down    bool           // the daemon does not answer
	changed chan struct{}
	did     []string
	told    []string // by the follower, to the operator
}

var errDown = errors.New("no daemon")

func newFollowed(states ...group.Status) *followedGroup {
	return &followedGroup{status: states, changed: make(chan struct{})}
}

func in(state group.State) group.Status { return group.Status{State: state, Since: time.Unix(1, 0)} }

func ended(state group.State, status uint32) group.Status {
	st := in(state)
	st.Ended, st.Error = true, "app ended"
	st.Containers = []group.ContainerStatus{{Name: "app", Role: spec.App, ExitStatus: &status}}
	return st
}

// set changes the group as the daemon would, with an event.
func (g *followedGroup) set(status ...group.Status) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status, g.down = status, false
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *followedGroup) setDown() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = true
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *followedGroup) record(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.did = append(g.did, strings.Split(what, "\n")[0])
}

func (g *followedGroup) Status(context.Context, string) ([]group.Status, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return nil, errDown
	}
	if len(g.status) == 0 {
		return nil, group.ErrNoGroup
	}
	return g.status, nil
}

func (g *followedGroup) Events(ctx context.Context, _ group.EventQuery, emit func(group.Event) error) error {
	for {
		g.mu.Lock()
		changed, down := g.changed, g.down
		g.mu.Unlock()
		if down {
			return errDown
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		if err := emit(group.Event{}); err != nil {
			return err
		}
	}
}

func (g *followedGroup) Start(context.Context, string, func(string)) error {
	g.record("start")
	g.set(in(group.Running))
	return nil
}

func (g *followedGroup) Stop(context.Context, string, func(string)) error {
	g.record("stop")
	g.set(in(group.Stopped))
	return nil
}

func (g *followedGroup) tell(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told = append(g.told, line)
}

// followed runs a follower of the group. end returns what it returned, within two seconds.
func (g *followedGroup) follow(t *testing.T, ctx context.Context, first, start bool) (end func() error) {
	f := &follower{group: "web", daemon: g, notify: g.record, tell: g.tell, first: first, start: start}
	done := make(chan error, 1)
	go func() { done <- f.follow(ctx) }()
	return func() error {
		t.Helper()
		select {
		case err := <-done:
			return err
		case <-time.After(2 * time.Second):
			t.Fatal("it goes on")
			return nil
		}
	}
}

func (g *followedGroup) check(t *testing.T, want ...string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if diff := cmp.Diff(want, slices.Clone(g.did)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFollow(t *testing.T) {
	const again, failed, well = "exit status 75", "failed", ""
	for _, c := range []struct {
		name         string
		begin        group.Status
		first, start bool
		then         []group.Status
		want         string
		did          []string
	}{
		{"a group that runs, then is degraded", in(group.Running), true, true, []group.Status{in(group.Degraded)}, again, []string{"READY=1"}},
		{"a group that comes up later", in(group.Starting), true, true, []group.Status{in(group.Degraded), in(group.Running), in(group.Stopping)}, again, []string{"READY=1"}},
		{"an operator starts what was stopped", in(group.Stopped), true, true, []group.Status{in(group.Stopping)}, again, []string{"start", "READY=1"}},
		{"an operator starts a job again", ended(group.Completed, 0), true, true, []group.Status{ended(group.Completed, 0)}, well, []string{"start", "READY=1", "READY=1"}},
		{"a boot leaves alone what was stopped", in(group.Stopped), true, false, nil, again, nil},
		{"a boot leaves a job alone", ended(group.Completed, 0), true, false, nil, well, []string{"READY=1"}},
		{"a schedule in force", in(group.Scheduled), true, true, []group.Status{in(group.Stopped)}, again, []string{"READY=1"}},
		{"a restart waits for what was stopped", in(group.Stopped), false, false, []group.Status{in(group.Running), in(group.Stopping)}, again, []string{"READY=1"}},
		{"a job that fails", in(group.Running), true, true, []group.Status{ended(group.Completed, 3)}, failed, []string{"READY=1"}},
		{"a failure stops the group", in(group.Running), true, true, []group.Status{ended(group.Stopped, 0)}, failed, []string{"READY=1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFollowed(c.begin)
				end := g.follow(t, t.Context(), c.first, c.start)
				for _, st := range c.then {
					synctest.Wait()
					g.set(st)
				}
				got := ""
				if err := end(); err != nil {
					got = err.Error()
				}
				if strings.HasPrefix(got, "group web is ") {
					got = failed
				}
				if got != c.want {
					t.Errorf("it ends with %q, want %q", got, c.want)
				}
				g.check(t, c.did...)
			})
		})
	}
}

// A daemon that is down, or that starts again, changes nothing.
func TestFollowOutlivesTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFollowed(in(group.Running))
		end := g.follow(t, t.Context(), true, true)
		synctest.Wait()
		g.setDown()
		time.Sleep(time.Hour)
		g.set(group.Status{State: group.Starting}) // it has not looked at the group yet
		time.Sleep(time.Hour)
		g.set(in(group.Running))
		time.Sleep(time.Hour)
		g.check(t, "READY=1")
		if diff := cmp.Diff([]string{"waits for the daemon: no daemon"}, g.told); diff != "" {
			t.Errorf("told (-want +got)\n%s", diff)
		}
		g.set()
		if err := end(); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("a removed group: %v", err)
		}
	})
}

// The first start ends after a while, since a boot waits for it. Later ones wait.
func TestFollowLetsABootGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFollowed(in(group.Starting))
		first, later := g.follow(t, t.Context(), true, false), g.follow(t, t.Context(), false, false)
		time.Sleep(followStart)
		if err := first(); err != exitStatus(statusAgain) {
			t.Errorf("the first start: %v", err)
		}
		time.Sleep(time.Hour)
		g.set(in(group.Running))
		synctest.Wait()
		g.check(t, "READY=1")
		g.set(in(group.Degraded))
		if err := later(); err != exitStatus(statusAgain) {
			t.Errorf("a later start: %v", err)
		}
	})
}

// An operator's stop of the unit stops the group. A shutdown does not, and neither does a systemd
// that gives no answer.
func TestFollowStops(t *testing.T) {
	for _, c := range []struct {
		state string
		err   error
		did   []string
	}{
		{"running", nil, []string{"stop"}},
		{"degraded", nil, []string{"stop"}},
		{"stopping", nil, nil},
		{"", errDown, nil},
	} {
		g := newFollowed(in(group.Running))
		f := &follower{group: "web", daemon: g, tell: func(string) {}}
		err := f.stop(t.Context(), func(context.Context) (string, error) { return c.state, c.err })
		if !errors.Is(err, c.err) {
			t.Errorf("%q: %v", c.state, err)
		}
		g.check(t, c.did...)
	}
}

// A signal ends the command at once, whatever it waits for.
func TestFollowEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := newFollowed(in(group.Starting))
		end := g.follow(t, ctx, true, true)
		synctest.Wait()
		cancel()
		if err := end(); !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
	})
}
