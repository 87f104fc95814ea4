package probes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/probes"
	"github.com/sallyport/sallyport/spec"
)

var errRefused = errors.New("connection refused")

// A probeHarness has a group of one running app, and a Group that asks its probes.
type probeHarness struct {
	t       *testing.T
	probes  *probes.Group
	group   *spec.Group
	state   host.ContainerState
	began   time.Time
	changes atomic.Int32 // calls of changed

	mu      sync.Mutex
	answers map[string]error
	asked   map[string]int
	last    spec.Probe // that was asked last
	check   host.Healthcheck
	unread  error // why the check can't be read
}

// Healthcheck implements [probes.Images].
func (p *probeHarness) Healthcheck(_ context.Context, group, container string) (host.Healthcheck, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.check, p.unread
}

// withProbes runs a test on synctest's clock. The container has just been started, and is not
// followed yet.
func withProbes(t *testing.T, do func(p *probeHarness), list ...spec.Probe) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &spec.Group{Name: "sealed", Containers: []spec.Container{{Name: "web", Role: spec.App, Digest: "web:1", Probes: list}}}
		p := &probeHarness{
			t: t, group: g, answers: map[string]error{}, asked: map[string]int{}, began: time.Now(),
			state: host.ContainerState{
				Group: g.Name, Name: "web", Digest: g.Container("web").Digest, Task: host.TaskRunning, PID: 7, StartedAt: time.Now(),
			},
		}
		p.probes = probes.New(g.Name, probes.Config{Prober: p, Images: p, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, func() { p.changes.Add(1) })
		defer p.probes.Close()
		do(p)
	})
}

// Probe implements [Prober]. An answer that is ctx's own error never comes.
func (p *probeHarness) Probe(ctx context.Context, group, container string, probe spec.Probe) error {
	if group != p.group.Name || container != "web" {
		return fmt.Errorf("asked %s.%s", group, container)
	}
	p.mu.Lock()
	p.asked[probe.Kind]++
	p.last = probe
	err := p.answers[probe.Kind]
	p.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		<-ctx.Done()
		return errRefused
	}
	return err
}

// say sets the answer of the probe of a kind from now on.
func (p *probeHarness) say(kind string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[kind] = err
}

func (p *probeHarness) timesAsked(kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[kind]
}

// follow passes the container's state to the Group.
func (p *probeHarness) follow() {
	p.probes.Follow(p.t.Context(), p.group, []host.ContainerState{p.state})
	synctest.Wait()
}

// wait lets time pass.
func (p *probeHarness) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// is compares the container's health. "gone" means that it has none.
func (p *probeHarness) is(want string) {
	p.t.Helper()
	got := "gone"
	if h, ok := p.probes.Health()["web"]; ok {
		got = fmt.Sprintf("started %v, ready %v, failed %v", h.Started, h.Ready, h.Failed)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("after %s (-want +got):\n%s", time.Since(p.began), diff)
	}
}

const (
	isStarting = "started false, ready false, failed false"
	isNotReady = "started true, ready false, failed false"
	isReady    = "started true, ready true, failed false"
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

func TestProbeGroupWithoutProbes(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
		p.is("gone")
		p.follow()
		p.is(isReady)
		p.state.Task = host.TaskStopped
		p.follow()
		p.is("gone")
	})
}

func TestProbeGroupReady(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
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
		if n := p.changes.Load(); n != 4 { // the first failure, ready, not ready, ready
			t.Errorf("reported %d changes", n)
		}
	}, probe("ready"))
}

func TestProbeGroupLive(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
		p.follow()
		p.wait(15 * time.Second)
		p.say("live", errRefused)
		p.wait(20 * time.Second)
		p.is(isReady)
		p.wait(10 * time.Second)
		p.is("started true, ready true, failed true")
		asked := p.timesAsked("live")
		p.wait(time.Hour)
		if p.timesAsked("live") != asked {
			t.Error("asked again after it has failed")
		}
		p.say("live", nil)
		p.state.PID, p.state.StartedAt = 8, time.Now()
		p.follow()
		p.is(isReady)
	}, probe("live"))
}

func TestProbeGroupStartupGatesTheOthers(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
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
			t.Error("the startup probe is asked after it has succeeded")
		}
	}, probe("startup"), probe("ready"), probe("live"))
}

func TestProbeGroupStartupFails(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
		p.say("startup", errRefused)
		p.follow()
		p.wait(19 * time.Second)
		p.is(isStarting)
		p.wait(2 * time.Second)
		p.is("started false, ready false, failed true")
	}, probe("startup"), probe("ready"))
}

func TestProbeGroupInitialDelay(t *testing.T) {
	for _, tt := range []struct {
		name string
		seen time.Duration // after its start
		want time.Duration // from then until it is ready
	}{
		{"seen at once", 0, 5 * time.Second},
		{"seen late", 3 * time.Second, 2 * time.Second},
		{"adopted", time.Hour, 0},
		{"the clock was set back", -time.Hour, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withProbes(t, func(p *probeHarness) {
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

func TestProbeGroupThatCannotBeAsked(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
		p.follow()
		p.is(isReady)
		err := fmt.Errorf("%w: containerd is down", host.ErrNotAsked)
		p.say("live", err)
		p.say("ready", err)
		p.wait(time.Hour)
		p.is(isReady)
	}, probe("ready"), probe("live"))
}

// Each report makes the runner look at the whole group, so reports that come too often are held
// back.
func TestProbeGroupLimitsReportsOfReasons(t *testing.T) {
	often := func(p *spec.Probe) { p.Interval = 100 * time.Millisecond }
	withProbes(t, func(p *probeHarness) {
		p.follow()
		for i := range 100 {
			p.say("ready", fmt.Errorf("at %d", i))
			p.wait(100 * time.Millisecond)
		}
		if n := p.changes.Load(); n < 8 || n > 14 {
			t.Errorf("reported %d changes in 10 s", n)
		}
		p.say("ready", nil)
		p.wait(100 * time.Millisecond)
		p.is(isReady)
	}, probe("ready", often))
	withProbes(t, func(p *probeHarness) {
		p.say("ready", errRefused)
		p.follow()
		p.wait(time.Minute)
		if n := p.changes.Load(); n > 2 { // the first failure, and that it is not ready
			t.Errorf("reported %d changes although nothing changed", n)
		}
	}, probe("ready", often))
}

func TestProbeGroupBeginsAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(p *probeHarness)
		want string
	}{
		{"with another process", func(p *probeHarness) { p.state.PID = 8 }, isNotReady},
		{"with another start", func(p *probeHarness) { p.state.StartedAt = time.Now() }, isNotReady},
		{"with other probes", func(p *probeHarness) {
			p.group.Container("web").Probes = []spec.Probe{probe("ready", delayed(time.Hour))}
		}, isNotReady},
		{"not when its start is not known", func(p *probeHarness) { p.state.StartedAt = time.Time{} }, isReady},
		{"not when it cannot be observed", func(p *probeHarness) { p.state.Task = host.TaskUnknown }, isReady},
		{"not with another definition: it was made from its own", func(p *probeHarness) {
			other := spec.Container{Name: "web", Role: spec.App, Digest: "web:2", Probes: []spec.Probe{probe("ready", delayed(time.Hour))}}
			p.group = &spec.Group{Name: "sealed", Containers: []spec.Container{other}}
		}, isReady},
		{"not when it has stopped", func(p *probeHarness) { p.state.Task = host.TaskStopped }, "gone"},
		{"not when the group is to be removed", func(p *probeHarness) { p.group = nil }, "gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withProbes(t, func(p *probeHarness) {
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

func TestProbeGroupDropsLateAnswers(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
		p.say("live", context.Canceled) // its error comes when the container has gone
		p.follow()
		p.wait(time.Second)
		p.state.PID = 8
		p.say("live", nil)
		p.follow()
		p.wait(time.Minute)
		p.is(isReady)
		if n := p.changes.Load(); n != 0 {
			t.Errorf("reported %d changes", n)
		}
	}, probe("live", func(p *spec.Probe) { p.Failures = 1 }))
}

func TestProbeGroupClosed(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
		p.say("ready", context.Canceled)
		p.follow()
		p.probes.Close()
		asked := p.timesAsked("ready")
		p.follow()
		p.wait(time.Hour)
		if p.timesAsked("ready") != asked {
			t.Error("asked after it was closed")
		}
	}, probe("ready"))
}

// The answers from before a reload are forgotten. A startup probe that has succeeded isn't asked
// again: the program has started.
func TestProbeGroupReloaded(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
		p.follow()
		p.wait(time.Minute)
		p.is(isReady)
		startups, readies := p.timesAsked(spec.ProbeStartup), p.timesAsked(spec.ProbeReady)
		p.say(spec.ProbeStartup, errRefused)
		p.probes.Reloaded("web")
		synctest.Wait()
		p.is(isNotReady)
		if !p.probes.Health()["web"].Unknown() {
			t.Error("it is known not to be ready, and was not asked yet")
		}
		p.wait(400 * time.Millisecond)
		if n := p.timesAsked(spec.ProbeReady); n != readies {
			t.Errorf("asked %d times within 400 ms of the signal", n-readies)
		}
		p.wait(100 * time.Millisecond)
		p.is(isReady)
		p.follow()
		p.is(isReady)
		p.say(spec.ProbeReady, errRefused)
		p.probes.Reloaded("web")
		p.wait(time.Minute)
		p.is(isNotReady)
		if p.probes.Health()["web"].Unknown() {
			t.Error("it is not known whether it is ready")
		}
		if n := p.timesAsked(spec.ProbeStartup); n != startups {
			t.Errorf("the startup probe was asked %d times again", n-startups)
		}
		p.probes.Reloaded("another")
		p.state.Task = host.TaskStopped
		p.follow()
		p.probes.Reloaded("web")
		p.is("gone")
	}, probe(spec.ProbeStartup), probe(spec.ProbeReady), probe(spec.ProbeLive))
}

// A probe of the image is asked once the image's test can be read, and with it. Until then it
// counts neither way.
func TestProbeOfTheImage(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
		p.unread = errors.New("containerd does not answer")
		p.follow()
		p.wait(time.Minute)
		p.is(isNotReady)
		if n, reason := p.timesAsked("ready"), p.probes.Health()["web"].Reason; n != 0 || !strings.Contains(reason, "containerd does not answer") {
			t.Errorf("asked %d times, reason %q", n, reason)
		}
		p.mu.Lock()
		p.unread, p.check = nil, host.Healthcheck{Args: []string{"/check"}, Interval: time.Second, Retries: 2}
		p.mu.Unlock()
		p.wait(10 * time.Second)
		p.is(isReady)
		if want := []string{"/check"}; !slices.Equal(p.last.Exec, want) || p.last.Timeout != 30*time.Second {
			t.Errorf("asked %+v", p.last)
		}
		p.say("ready", errRefused)
		p.say("live", errRefused)
		p.wait(2 * time.Second)
		p.is("started true, ready false, failed true")
		p.follow() // as before
		p.is("started true, ready false, failed true")
	}, spec.Probe{Kind: "ready", Image: true, Successes: 1}, spec.Probe{Kind: "live", Image: true, Successes: 1})
}

func starting(d time.Duration) func(*spec.Probe) {
	return func(p *spec.Probe) { p.StartPeriod = d }
}

// In the start period a failure doesn't count and a success does. After the first success failures
// count.
func TestProbeStartPeriod(t *testing.T) {
	withProbes(t, func(p *probeHarness) {
		p.say("startup", errRefused)
		p.say("live", errRefused)
		p.follow()
		p.wait(59 * time.Second)
		p.is(isStarting)
		if n := p.timesAsked("startup"); n < 11 || n > 25 { // a pause has at most 5 s
			t.Errorf("asked %d times", n)
		}
		p.say("startup", nil)
		p.wait(time.Second)
		p.is(isReady)
		p.wait(29 * time.Second)
		if n := p.timesAsked("live"); n != 0 {
			t.Errorf("live: asked %d times before its time", n)
		}
		p.wait(21 * time.Second)
		p.is("started true, ready true, failed true")
	}, probe("startup", starting(time.Minute)), probe("live", starting(90*time.Second)))
	withProbes(t, func(p *probeHarness) {
		p.say("ready", errRefused)
		p.follow()
		p.wait(4 * time.Minute)
		p.is(isNotReady)
		p.say("ready", nil)
		p.wait(5 * time.Second)
		p.is(isReady)
		p.say("ready", errRefused)
		p.wait(25 * time.Second)
		p.is(isReady)
		p.wait(6 * time.Second)
		p.is(isNotReady)
	}, probe("ready", starting(time.Hour)))
	withProbes(t, func(p *probeHarness) {
		p.say("startup", errRefused)
		p.follow()
		p.wait(time.Minute + 19*time.Second)
		p.is(isStarting)
		p.wait(2 * time.Second)
		p.is("started false, ready false, failed true")
	}, probe("startup", starting(time.Minute)))
}
