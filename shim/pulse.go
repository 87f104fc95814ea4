package shim

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A pulse asks the probes of one group's running containers, each probe in a loop of its own, and remembers what they said for
// as long as the container runs: not through a restart of the container, nor of the daemon.
type pulse struct {
	group   string
	config  *Config
	changed func() // what health returns is not what it was; called by the loops

	loops sync.WaitGroup

	mu     sync.Mutex
	closed bool
	lives  map[string]*pulseLife
}

// A pulseLife is one run of a container's program, with its probes.
type pulseLife struct {
	container string
	pid       uint32
	startedAt time.Time // zero: not known
	began     time.Time // since when its probes' delays count
	probes    []spec.Probe
	streaks   []streak // the probes', in their order
	health    Health
	told      Health // the health that changed was last called with
	toldAt    time.Time
	started   chan struct{} // closed when its startup probe has succeeded, or if it has none
	end       context.CancelFunc
}

// newPulse starts nothing. Without a Prober nothing is asked, and whatever runs is ready.
func newPulse(group string, config *Config, changed func()) *pulse {
	return &pulse{group: group, config: config, changed: changed, lives: map[string]*pulseLife{}}
}

// follow takes up what was just seen of the group's containers: it begins to ask those that have started since, and forgets
// those that run no more. A nil group is one that is to be gone: nobody is asked. It must not be called with containers that
// could not be looked at. The loops end with ctx, which is therefore the runner's, not a look's.
func (p *pulse) follow(ctx context.Context, group *spec.Group, states []ContainerState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lives := map[string]*pulseLife{}
	if group != nil && !p.closed {
		for _, s := range states {
			if l := p.lifeOf(ctx, group.Container(s.Name), s); l != nil {
				lives[s.Name] = l
			}
		}
	}
	for name, l := range p.lives {
		if lives[name] != l {
			l.end()
		}
	}
	p.lives = lives
}

// lifeOf is the life that a container is seen to have; nil: none. One that was made from another definition than c keeps the
// probes it had, since c's are not about it; one of which nobody says what it does is still asked. It needs mu.
func (p *pulse) lifeOf(ctx context.Context, c *spec.Container, s ContainerState) *pulseLife {
	l := p.lives[s.Name]
	switch {
	case s.Task == TaskUnknown:
		return l
	case s.Task != TaskRunning:
		return nil
	case l != nil && !l.runs(s):
		l = nil
	}
	if c == nil || s.Digest != c.Digest || l != nil && reflect.DeepEqual(l.probes, c.Probes) {
		return l
	}
	return p.begin(ctx, c, s)
}

// runs says that a container is in this life still.
func (l *pulseLife) runs(s ContainerState) bool {
	known := !l.startedAt.IsZero() && !s.StartedAt.IsZero()
	return l.pid == s.PID && (!known || l.startedAt.Equal(s.StartedAt))
}

// begin starts to ask a container. It needs mu.
func (p *pulse) begin(ctx context.Context, c *spec.Container, s ContainerState) *pulseLife {
	now := p.config.Now()
	l := &pulseLife{
		container: c.Name, pid: s.PID, startedAt: s.StartedAt, began: now, probes: c.Probes,
		streaks: make([]streak, len(c.Probes)), started: make(chan struct{}), health: Health{Started: true, Ready: true},
	}
	if !s.StartedAt.IsZero() && s.StartedAt.Before(now) { // later: the clock was set back since
		l.began = s.StartedAt
	}
	ctx, l.end = context.WithCancel(ctx)
	if p.config.Prober == nil {
		return l
	}
	l.health = healthOf(l.probes, l.streaks)
	l.told = l.health
	if l.health.Started {
		close(l.started)
	}
	for i := range l.probes {
		p.loops.Go(func() { p.loop(ctx, l, i) })
	}
	return l
}

// loop asks one probe until it is decided for good or the container's life ends.
func (p *pulse) loop(ctx context.Context, l *pulseLife, i int) {
	probe := &l.probes[i]
	if probe.Kind != spec.ProbeStartup {
		select {
		case <-l.started:
		case <-ctx.Done():
			return
		}
	}
	at := later(l.began.Add(probe.InitialDelay), p.config.Now())
	b := beat{due: at}
	for p.sleep(ctx, at) {
		began := p.config.Now()
		counts := !began.Before(b.due)
		err := p.config.Prober.Probe(ctx, p.group, l.container, *probe)
		if ctx.Err() != nil {
			return // whatever it said is about a container that has gone
		}
		s := p.note(ctx, l, i, err, counts)
		if s.decided(probe) {
			return
		}
		at, b = b.next(probe, s, counts, began, p.config.Now())
	}
}

// note takes note of a try.
func (p *pulse) note(ctx context.Context, l *pulseLife, i int, err error, counts bool) streak {
	p.mu.Lock()
	if ctx.Err() != nil { // follow has ended it meanwhile
		p.mu.Unlock()
		return l.streaks[i]
	}
	unasked := errors.Is(err, ErrNotAsked)
	if unasked && !errors.Is(l.streaks[i].said, ErrNotAsked) {
		p.config.Log.Warn(oneLine(err.Error()), "group", p.group, "container", l.container, "probe", l.probes[i].Kind)
	}
	if err == nil || counts && !unasked {
		l.streaks[i] = l.streaks[i].tried(&l.probes[i], err)
	} else {
		l.streaks[i] = l.streaks[i].uncounted(err)
	}
	s, wasStarted := l.streaks[i], l.health.Started
	l.health = healthOf(l.probes, l.streaks)
	if l.health.Started && !wasStarted {
		close(l.started)
	}
	news := l.news(p.config.Now())
	p.mu.Unlock()
	if news {
		p.changed()
	}
	return s
}

// sayAgain is how long other words for the same health are kept back: an error may have the time of day in it, and to be told
// makes the runner look at all of the group.
const sayAgain = time.Second

// news says that changed is to be called, and takes it for done. It needs the pulse's mu.
func (l *pulseLife) news(now time.Time) bool {
	same := l.told
	same.Said = l.health.Said
	if l.health == l.told || l.health == same && now.Sub(l.toldAt) < sayAgain {
		return false
	}
	l.told, l.toldAt = l.health, now
	return true
}

// sleep waits until a time; false: ctx has ended.
func (p *pulse) sleep(ctx context.Context, until time.Time) bool {
	timer := time.NewTimer(until.Sub(p.config.Now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// health is what is known of each container that was running when it was last followed, by name. One without probes is ready.
func (p *pulse) health() map[string]Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]Health, len(p.lives))
	for name, l := range p.lives {
		out[name] = l.health
	}
	return out
}

// close ends the loops and waits for them; nobody is asked any more.
func (p *pulse) close() {
	p.mu.Lock()
	p.closed = true
	for l := range maps.Values(p.lives) {
		l.end()
	}
	p.mu.Unlock()
	p.loops.Wait()
}
