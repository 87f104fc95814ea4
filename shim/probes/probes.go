// Package probes asks the probes of one group's running containers and decides how healthy they
// are. It forgets the answers when a container or the daemon restarts.
package probes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Prober asks a running container once, from inside its group. A nil error is a success. An error
// has, on one line, what was asked and what came back. The probe's timeout counts from the moment
// when the container is asked. ctx ends a try earlier. Package linux/probe implements it, and
// package hosttest does so in memory.
type Prober interface {
	Probe(ctx context.Context, group, container string, p spec.Probe) error
}

// Images returns what images have for probes. Implemented by ctrd.Client.
type Images interface {
	// Healthcheck returns the HEALTHCHECK of the image that the container was made from. The error
	// is [host.ErrNoHealthcheck] if it has none.
	Healthcheck(ctx context.Context, group, container string) (host.Healthcheck, error)
}

// A Config holds what a Group needs.
type Config struct {
	Prober Prober           // optional: without one, every running container is ready
	Images Images           // optional: without one, a probe of the image is not asked
	Log    *slog.Logger     // required
	Now    func() time.Time // required
}

// A Group asks the probes of one group's running containers, each probe in a goroutine of its
// own.
type Group struct {
	group   string
	config  Config
	changed func() // called by the goroutines when Health has changed

	loops sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	workers map[string]*worker // by container
}

// A worker asks the probes of one run of a container's program.
type worker struct {
	container  string
	pid        uint32
	startedAt  time.Time    // zero: not known
	began      time.Time    // the probes' initial delays count from here
	notBefore  time.Time    // no probe is asked before
	probes     []spec.Probe // as the group file has them
	asked      []spec.Probe // in the order of probes; one of the image has its test once that is known
	thresholds []threshold  // in the order of probes
	health     host.Health
	reported   host.Health // the health at the last call of changed
	reportedAt time.Time
	started    chan struct{}   // closed when its startup probe has succeeded, or if it has none
	ctx        context.Context // the runner's
	end        context.CancelFunc
}

// New starts nothing. changed is called from several goroutines at once.
func New(group string, config Config, changed func()) *Group {
	return &Group{group: group, config: config, changed: changed, workers: map[string]*worker{}}
}

// Follow takes up what was just observed of the group's containers. It begins to ask those that
// have started since, and forgets those that no longer run. A nil group means that the group is to
// be removed: nothing is asked any more. It must not be called with containers that could not be
// observed. The goroutines end with ctx, so ctx must be the runner's, not that of one
// reconciliation.
func (g *Group) Follow(ctx context.Context, group *spec.Group, states []host.ContainerState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	workers := map[string]*worker{}
	if group != nil && !g.closed {
		for _, s := range states {
			if w := g.workerFor(ctx, group.Container(s.Name), s); w != nil {
				workers[s.Name] = w
			}
		}
	}
	for name, w := range g.workers {
		if workers[name] != w {
			w.end()
		}
	}
	g.workers = workers
}

// workerFor returns the worker for the container as it was observed. Nil means that the container
// does not run. A container that was made from another definition than c keeps the probes it had,
// since c's are not about it. A container in an unknown state is still asked. It needs mu.
func (g *Group) workerFor(ctx context.Context, c *spec.Container, s host.ContainerState) *worker {
	w := g.workers[s.Name]
	switch {
	case s.Task == host.TaskUnknown:
		return w
	case s.Task != host.TaskRunning:
		return nil
	case w != nil && !w.runs(s):
		w = nil
	}
	if c == nil || s.Digest != c.Digest || w != nil && reflect.DeepEqual(w.probes, c.Probes) {
		return w
	}
	return g.begin(ctx, c, s)
}

// Reloaded forgets the answers of a container whose program was just told to read its files again:
// they were about the program before that. Its startup probe is not asked again, and the others not
// before the program has had reloadTime.
func (g *Group) Reloaded(container string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.workers[container]; w != nil && !g.closed {
		w.end()
		g.workers[container] = g.ask(w.reloaded(g.config.Now()))
	}
}

// reloadTime is how long a program has to read its files again before its probes are asked. One
// that can't use them has mostly ended by then.
const reloadTime = 500 * time.Millisecond

// reloaded returns a worker for what follows a reload.
func (w *worker) reloaded(now time.Time) *worker {
	next := &worker{
		ctx: w.ctx, container: w.container, pid: w.pid, startedAt: w.startedAt, began: w.began, notBefore: now.Add(reloadTime),
		probes: w.probes, asked: slices.Clone(w.asked), thresholds: make([]threshold, len(w.probes)),
	}
	for i := range w.probes {
		if w.probes[i].Kind == spec.ProbeStartup {
			next.thresholds[i] = w.thresholds[i]
		}
	}
	return next
}

// runs reports whether the container is still in the run that the worker asks about.
func (w *worker) runs(s host.ContainerState) bool {
	known := !w.startedAt.IsZero() && !s.StartedAt.IsZero()
	return w.pid == s.PID && (!known || w.startedAt.Equal(s.StartedAt))
}

// begin starts to ask a container. It needs mu.
func (g *Group) begin(ctx context.Context, c *spec.Container, s host.ContainerState) *worker {
	now := g.config.Now()
	w := &worker{
		ctx: ctx, container: c.Name, pid: s.PID, startedAt: s.StartedAt, began: now,
		probes: c.Probes, asked: slices.Clone(c.Probes), thresholds: make([]threshold, len(c.Probes)),
	}
	if !s.StartedAt.IsZero() && s.StartedAt.Before(now) { // later: the clock was set back since
		w.began = s.StartedAt
	}
	return g.ask(w)
}

// ask starts the goroutines of a worker. It needs mu.
func (g *Group) ask(w *worker) *worker {
	w.started, w.health = make(chan struct{}), host.Health{Started: true, Ready: true}
	var ctx context.Context
	ctx, w.end = context.WithCancel(w.ctx)
	if g.config.Prober == nil {
		return w
	}
	w.health = combine(w.asked, w.thresholds)
	w.reported = w.health
	if w.health.Started {
		close(w.started)
	}
	for i := range w.probes {
		if w.thresholds[i].decided(&w.asked[i]) {
			continue
		}
		g.loops.Go(func() { g.loop(ctx, w, i) })
	}
	return w
}

// loop asks one probe until it is decided for good, or until the container's run ends.
func (g *Group) loop(ctx context.Context, w *worker, i int) {
	if w.probes[i].Kind != spec.ProbeStartup {
		select {
		case <-w.started:
		case <-ctx.Done():
			return
		}
	}
	probe, ok := g.withTest(ctx, w, i)
	if !ok {
		return
	}
	at, schedule := begin(probe, w.began, later(w.notBefore, g.config.Now()))
	for g.sleep(ctx, at) {
		began := g.config.Now()
		counts := !began.Before(schedule.due)
		err := g.config.Prober.Probe(ctx, g.group, w.container, *probe)
		if ctx.Err() != nil {
			return // the answer is about a run that has ended
		}
		s := g.note(ctx, w, i, err, counts)
		if s.decided(probe) {
			return
		}
		at, schedule = schedule.next(probe, s, counts, began, g.config.Now())
	}
}

// withTest returns a probe as it is asked: one of the image gets its test, as soon as that can be
// read. It returns false if ctx has ended.
func (g *Group) withTest(ctx context.Context, w *worker, i int) (*spec.Probe, bool) {
	for w.asked[i].Image {
		check, err := host.Healthcheck{}, errNoImages
		if g.config.Images != nil {
			check, err = g.config.Images.Healthcheck(ctx, g.group, w.container)
		}
		if ctx.Err() != nil {
			return nil, false
		}
		if err != nil {
			g.note(ctx, w, i, fmt.Errorf("%w: %w", host.ErrNotAsked, err), false)
			if !g.sleep(ctx, g.config.Now().Add(imageInterval)) {
				return nil, false
			}
			continue
		}
		g.mu.Lock()
		w.asked[i] = check.Probe(w.probes[i])
		g.mu.Unlock()
	}
	return &w.asked[i], true
}

// imageInterval is the pause before the configuration of an image that could not be read is read
// again.
const imageInterval = 10 * time.Second

var errNoImages = errors.New("no image can be read")

// note records the result of one try.
func (g *Group) note(ctx context.Context, w *worker, i int, err error, counts bool) threshold {
	g.mu.Lock()
	if ctx.Err() != nil { // Follow has ended it in the meantime
		g.mu.Unlock()
		return w.thresholds[i]
	}
	unasked := errors.Is(err, host.ErrNotAsked)
	if unasked && !errors.Is(w.thresholds[i].lastErr, host.ErrNotAsked) {
		g.config.Log.Warn(hint.OneLine(err.Error()), "group", g.group, "container", w.container, "probe", w.probes[i].Kind)
	}
	if err == nil || counts && !unasked {
		w.thresholds[i] = w.thresholds[i].counted(&w.asked[i], err)
	} else {
		w.thresholds[i] = w.thresholds[i].uncounted(err)
	}
	s, wasStarted := w.thresholds[i], w.health.Started
	w.health = combine(w.asked, w.thresholds)
	if w.health.Started && !wasStarted {
		close(w.started)
	}
	news := w.report(g.config.Now())
	g.mu.Unlock()
	if news {
		g.changed()
	}
	return s
}

// reasonInterval limits how often a change of the reason alone wakes the runner: an error text may
// contain a timestamp, and each call of changed makes the runner look at the whole group.
const reasonInterval = time.Second

// report reports whether changed is to be called, and records the health as reported. It needs the
// group's mu.
func (w *worker) report(now time.Time) bool {
	same := w.reported
	same.Reason = w.health.Reason
	if w.health == w.reported || w.health == same && now.Sub(w.reportedAt) < reasonInterval {
		return false
	}
	w.reported, w.reportedAt = w.health, now
	return true
}

// sleep waits until a time. It returns false if ctx has ended.
func (g *Group) sleep(ctx context.Context, until time.Time) bool {
	timer := time.NewTimer(until.Sub(g.config.Now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Health returns the health, by name, of each container that ran at the last Follow. A container
// without probes is ready.
func (g *Group) Health() map[string]host.Health {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make(map[string]host.Health, len(g.workers))
	for name, w := range g.workers {
		out[name] = w.health
	}
	return out
}

// Close ends the goroutines and waits for them. Nothing is asked any more.
func (g *Group) Close() {
	g.mu.Lock()
	g.closed = true
	for w := range maps.Values(g.workers) {
		w.end()
	}
	g.mu.Unlock()
	g.loops.Wait()
}
