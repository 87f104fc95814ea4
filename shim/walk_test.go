package shim_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/shim/shimtest"
	"github.com/sallyport/sallyport/spec"
)

// The invariants are those of [shimtest.Invariant]: the host notes each time that one is broken.
func TestRandomWalkKeepsTheInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		want := anyFate(t, anyWish(t, "at first"))
		who := rapid.SampledFrom(shimtest.Containers)
		hidden := []func(){}
		t.Repeat(map[string]func(*rapid.T){
			"look": func(t *rapid.T) {
				_, steps := w.look("g", want)
				_ = w.act(steps, rapid.IntRange(0, len(steps)).Draw(t, "steps"))
			},
			"another wish":    func(t *rapid.T) { w.was, want = want, anyFate(t, anyWish(t, "wish")) },
			"a new keeper":    func(t *rapid.T) { w.anew() },
			"a start by hand": func(t *rapid.T) { w.ended = nil },
			"an end": func(t *rapid.T) {
				w.host.Exit("g", who.Draw(t, "who"), uint32(rapid.IntRange(0, 1).Draw(t, "status")))
			},
			"an answer": func(t *rapid.T) {
				kind := rapid.SampledFrom([]string{"ready", "live"}).Draw(t, "probe")
				w.host.Answer("g", who.Draw(t, "who"), kind, rapid.SampledFrom([]error{nil, errFault}).Draw(t, "answer"))
			},
			"a flush":    func(t *rapid.T) { w.host.Flush("g") },
			"no bounds":  func(t *rapid.T) { w.host.Unbound("g") },
			"a lost pin": func(t *rapid.T) { w.host.Unpin("g") },
			"a boot":     func(t *rapid.T) { w.host.Reboot() },
			"lost tasks": func(t *rapid.T) { w.host.LoseEnded() },
			"a silence":  func(t *rapid.T) { hidden = append(hidden, w.host.Hide("g", who.Draw(t, "who"))) },
			"time": func(t *rapid.T) {
				w.at = w.at.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			},
			"a fault": func(t *rapid.T) {
				what := rapid.SampledFrom(shimtest.Operations()).Draw(t, "what")
				if rapid.Bool().Draw(t, "done, and the answer is lost") {
					w.host.FailNextDone(what, errFault)
				} else {
					w.host.FailNext(what, errFault)
				}
			},
			"": func(t *rapid.T) { w.check(t) },
		})
		w.host.ForgetFaults()
		for _, show := range hidden {
			show()
		}
		if _, err := w.converge("g", want); err != nil {
			t.Fatalf("%v", err)
		}
		w.check(t)
	})
}

// Between any two looks an operator may want the group down, and up again: nothing of that makes a group end of its own accord.
func TestStoppingIsNoEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		g := anyFate(t, anyGroup(t, "g"))
		if _, err := w.converge("g", g); err != nil {
			t.Fatalf("%v", err)
		}
		_, steps := w.look("g", nil)
		if rapid.Bool().Draw(t, "one fails") {
			w.host.FailNextDone("stop "+rapid.SampledFrom(shimtest.Containers).Draw(t, "who"), errFault)
		}
		_ = w.act(steps, rapid.IntRange(0, len(steps)).Draw(t, "steps"))
		if rapid.Bool().Draw(t, "and the keeper is another") {
			w.anew()
		}
		if _, err := w.converge("g", g); err != nil {
			t.Fatalf("%v", err)
		}
		if w.ended != nil {
			t.Fatalf("it has ended as %+v", w.ended)
		}
		apps := 0
		for _, c := range g.Containers {
			if c.Role == spec.App && w.host.PID("g", c.Name) == 0 {
				apps++
			}
		}
		if apps > 0 {
			t.Fatalf("%d apps don't run:\n%s", apps, w.host)
		}
		w.check(t)
	})
}
