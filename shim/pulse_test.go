package shim_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

var errRefused = errors.New("connection refused")

// A patient is a group of one running app whose probes a pulse asks.
type patient struct {
	t     *testing.T
	pulse shim.Pulse
	group *spec.Group
	state shim.ContainerState
	began time.Time
	news  atomic.Int32 // calls of changed

	mu      sync.Mutex
	answers map[string]error
	asked   map[string]int
}

// examined runs a test with one on synctest's clock. It has just been started, and is not followed yet.
func examined(t *testing.T, do func(p *patient), probes ...spec.Probe) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := sealed(edit("web", func(c *spec.Container) { c.Probes = probes }))
		p := &patient{
			t: t, group: g, answers: map[string]error{}, asked: map[string]int{}, began: time.Now(),
			state: shim.ContainerState{
				Group: g.Name, Name: "web", Digest: g.Container("web").Digest, Task: shim.TaskRunning, PID: 7, StartedAt: time.Now(),
			},
		}
		p.pulse = shim.NewPulse(g.Name, &shim.Config{Prober: p, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, func() { p.news.Add(1) })
		defer p.pulse.Close()
		do(p)
	})
}

// Probe implements [shim.Prober]: an answer that is ctx's own error is one that never comes.
func (p *patient) Probe(ctx context.Context, group, container string, probe spec.Probe) error {
	if group != p.group.Name || container != "web" {
		return fmt.Errorf("asked %s.%s", group, container)
	}
	p.mu.Lock()
	p.asked[probe.Kind]++
	err := p.answers[probe.Kind]
	p.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		<-ctx.Done()
		return errRefused
	}
	return err
}

// say sets what the probe of a kind says from now on.
func (p *patient) say(kind string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[kind] = err
}

func (p *patient) timesAsked(kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[kind]
}

// follow lets the pulse see the container, and wait lets time pass.
func (p *patient) follow() {
	p.pulse.Follow(p.t.Context(), p.group, p.state)
	synctest.Wait()
}

func (p *patient) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (p *patient) is(want string) {
	p.t.Helper()
	got := "gone"
	if h, ok := p.pulse.Health()["web"]; ok {
		got = fmt.Sprintf("started %v, ready %v, dead %v", h.Started, h.Ready, h.Dead)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("after %s (-want +got):\n%s", time.Since(p.began), diff)
	}
}

const (
	isStarting = "started false, ready false, dead false"
	isNotReady = "started true, ready false, dead false"
	isReady    = "started true, ready true, dead false"
)

func probe(kind string, edits ...func(*spec.Probe)) spec.Probe {
	p := spec.Probe{
		Kind: kind, TCP: &spec.TCPProbe{Port: 80}, Interval: 10 * time.Second, Timeout: time.Second, Failures: 3, Successes: 1,
	}
	for _, edit := range edits {
		edit(&p)
	}
	return p
}

func delayed(d time.Duration) func(*spec.Probe) {
	return func(p *spec.Probe) { p.InitialDelay = d }
}

func TestPulseWithoutProbes(t *testing.T) {
	examined(t, func(p *patient) {
		p.is("gone")
		p.follow()
		p.is(isReady)
		p.state.Task = shim.TaskStopped
		p.follow()
		p.is("gone")
	})
}

func TestPulseReady(t *testing.T) {
	examined(t, func(p *patient) {
		p.say("ready", errRefused)
		p.follow()
		p.is(isNotReady)
		p.wait(300 * time.Millisecond)
		p.say("ready", nil)
		p.wait(300 * time.Millisecond)
		p.is(isReady)
		p.say("ready", errRefused)
		p.wait(29 * time.Second)
		p.is(isReady)
		p.wait(2 * time.Second)
		p.is(isNotReady)
		p.say("ready", nil)
		p.wait(10 * time.Second)
		p.is(isReady)
		if n := p.news.Load(); n != 4 { // the first failure, ready, not ready, ready
			t.Errorf("told of %d changes", n)
		}
	}, probe("ready"))
}

func TestPulseLive(t *testing.T) {
	examined(t, func(p *patient) {
		p.follow()
		p.wait(15 * time.Second)
		p.say("live", errRefused)
		p.wait(20 * time.Second)
		p.is(isReady)
		p.wait(10 * time.Second)
		p.is("started true, ready true, dead true")
		asked := p.timesAsked("live")
		p.wait(time.Hour)
		if p.timesAsked("live") != asked {
			t.Error("asked again although it is to be restarted")
		}
		p.say("live", nil)
		p.state.PID, p.state.StartedAt = 8, time.Now()
		p.follow()
		p.is(isReady)
	}, probe("live"))
}

func TestPulseStartupGatesTheOthers(t *testing.T) {
	examined(t, func(p *patient) {
		p.say("startup", errRefused)
		p.say("live", errRefused)
		p.follow()
		p.wait(15 * time.Second)
		p.is(isStarting)
		if n := p.timesAsked("ready") + p.timesAsked("live"); n != 0 {
			t.Errorf("asked %d times meanwhile", n)
		}
		p.say("startup", nil)
		p.say("live", nil)
		p.wait(10 * time.Second)
		p.is(isReady)
		asked := p.timesAsked("startup")
		p.wait(time.Hour)
		if p.timesAsked("startup") != asked {
			t.Error("the startup probe is asked on")
		}
	}, probe("startup"), probe("ready"), probe("live"))
}

func TestPulseStartupFails(t *testing.T) {
	examined(t, func(p *patient) {
		p.say("startup", errRefused)
		p.follow()
		p.wait(19 * time.Second)
		p.is(isStarting)
		p.wait(2 * time.Second)
		p.is("started false, ready false, dead true")
	}, probe("startup"), probe("ready"))
}

func TestPulseInitialDelay(t *testing.T) {
	for _, tt := range []struct {
		name string
		seen time.Duration // after its start
		want time.Duration // until it is ready, from then
	}{
		{"seen at once", 0, 5 * time.Second},
		{"seen late", 3 * time.Second, 2 * time.Second},
		{"adopted", time.Hour, 0},
		{"the clock was set back", -time.Hour, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			examined(t, func(p *patient) {
				p.state.StartedAt = time.Now().Add(-tt.seen)
				p.follow()
				if tt.want > 0 {
					p.wait(tt.want - time.Millisecond)
					p.is(isNotReady)
					p.wait(time.Millisecond)
				}
				p.is(isReady)
			}, probe("ready", delayed(5*time.Second)))
		})
	}
}

func TestPulseWhoCannotBeAskedIsNotToBlame(t *testing.T) {
	examined(t, func(p *patient) {
		p.follow()
		p.is(isReady)
		err := fmt.Errorf("%w: containerd is down", shim.ErrNotAsked)
		p.say("live", err)
		p.say("ready", err)
		p.wait(time.Hour)
		p.is(isReady)
	}, probe("ready"), probe("live"))
}

// Whoever is told looks at the whole group, so what is told too often is kept back.
func TestPulseTellsOfOtherWordsNowAndThen(t *testing.T) {
	often := func(p *spec.Probe) { p.Interval = 100 * time.Millisecond }
	examined(t, func(p *patient) {
		p.follow()
		for i := range 100 {
			p.say("ready", fmt.Errorf("at %d", i))
			p.wait(100 * time.Millisecond)
		}
		if n := p.news.Load(); n < 8 || n > 14 {
			t.Errorf("told of %d changes in 10 s", n)
		}
		p.say("ready", nil)
		p.wait(100 * time.Millisecond)
		p.is(isReady)
	}, probe("ready", often))
	examined(t, func(p *patient) {
		p.say("ready", errRefused)
		p.follow()
		p.wait(time.Minute)
		if n := p.news.Load(); n > 2 { // the first failure, and that it is not ready
			t.Errorf("told of %d changes although nothing changed", n)
		}
	}, probe("ready", often))
}

func TestPulseBeginsAnew(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(p *patient)
		want string
	}{
		{"with another process", func(p *patient) { p.state.PID = 8 }, isNotReady},
		{"with another start", func(p *patient) { p.state.StartedAt = time.Now() }, isNotReady},
		{"with other probes", func(p *patient) { p.group.Container("web").Probes = []spec.Probe{probe("ready", delayed(time.Hour))} }, isNotReady},
		{"not when its start is not known", func(p *patient) { p.state.StartedAt = time.Time{} }, isReady},
		{"not when it isn't known what it does", func(p *patient) { p.state.Task = shim.TaskUnknown }, isReady},
		{"not with another definition: it was made from its own", func(p *patient) {
			p.group = sealed(edit("web", func(c *spec.Container) { c.Image, c.Probes = "web:2", []spec.Probe{probe("ready", delayed(time.Hour))} }))
		}, isReady},
		{"not once it is gone", func(p *patient) { p.state.Task = shim.TaskStopped }, "gone"},
		{"not when the group is to be gone", func(p *patient) { p.group = nil }, "gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			examined(t, func(p *patient) {
				p.follow()
				p.is(isReady)
				p.wait(time.Second)
				p.say("ready", errRefused)
				tt.do(p)
				p.follow()
				p.is(tt.want)
			}, probe("ready"))
		})
	}
}

func TestPulseDropsWhatComesTooLate(t *testing.T) {
	examined(t, func(p *patient) {
		p.say("live", context.Canceled) // its error comes when the container has gone
		p.follow()
		p.wait(time.Second)
		p.state.PID = 8
		p.say("live", nil)
		p.follow()
		p.wait(time.Minute)
		p.is(isReady)
		if n := p.news.Load(); n != 0 {
			t.Errorf("told of %d changes", n)
		}
	}, probe("live", func(p *spec.Probe) { p.Failures = 1 }))
}

func TestPulseClosed(t *testing.T) {
	examined(t, func(p *patient) {
		p.say("ready", context.Canceled)
		p.follow()
		p.pulse.Close()
		asked := p.timesAsked("ready")
		p.follow()
		p.wait(time.Hour)
		if p.timesAsked("ready") != asked {
			t.Error("asked after it was closed")
		}
	}, probe("ready"))
}
