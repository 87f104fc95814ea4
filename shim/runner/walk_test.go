package runner_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/spec"
)

// The host records each violation of an invariant, see [hosttest.Invariant].
func TestRandomWalkKeepsTheInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHarness()
		want := anyTimeout(t, anyRestarts(t, anyDesired(t, "at first")))
		who := rapid.SampledFrom(hosttest.Containers)
		hidden := []func(){}
		t.Repeat(map[string]func(*rapid.T){
			"a reconciliation": func(t *rapid.T) {
				_, steps := h.plan("g", want)
				_ = h.act(steps, rapid.IntRange(0, len(steps)).Draw(t, "steps"))
			},
			"another wanted group": func(t *rapid.T) { want = anyTimeout(t, anyRestarts(t, anyDesired(t, "desired"))) },
			"a new keeper":         func(t *rapid.T) { h.nextKeeper() },
			"a start by hand":      func(t *rapid.T) { h.startByHand() },
			"an end": func(t *rapid.T) {
				h.host.Exit("g", who.Draw(t, "who"), uint32(rapid.IntRange(0, 1).Draw(t, "status")))
			},
			"an answer": func(t *rapid.T) {
				kind := rapid.SampledFrom([]string{"ready", "live"}).Draw(t, "probe")
				h.host.Answer("g", who.Draw(t, "who"), kind, rapid.SampledFrom([]error{nil, errFault}).Draw(t, "answer"))
			},
			"a flush":        func(t *rapid.T) { h.host.Flush("g") },
			"no limits":      func(t *rapid.T) { h.host.Unlimit("g") },
			"a lost pin":     func(t *rapid.T) { h.host.Unpin("g") },
			"a boot":         func(t *rapid.T) { h.host.Reboot() },
			"lost tasks":     func(t *rapid.T) { h.host.LoseEnded() },
			"a hidden state": func(t *rapid.T) { hidden = append(hidden, h.host.Hide("g", who.Draw(t, "who"))) },
			"time": func(t *rapid.T) {
				h.at = h.at.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
			},
			"a fault": func(t *rapid.T) {
				what := rapid.SampledFrom(hosttest.Operations()).Draw(t, "what")
				if rapid.Bool().Draw(t, "done, and the answer is lost") {
					h.host.FailNextDone(what, errFault)
				} else {
					h.host.FailNext(what, errFault)
				}
			},
			"": func(t *rapid.T) { h.check(t) },
		})
		h.host.ForgetFaults()
		for _, show := range hidden {
			show()
		}
		if _, err := h.converge("g", want); err != nil {
			t.Fatalf("%v", err)
		}
		h.check(t)
	})
}

// An operator may want the group down, and up again, between any two reconciliations. That is no
// end of the group by itself.
func TestStoppingIsNoEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHarness()
		g := anyRestarts(t, anyGroup(t, "g"))
		if _, err := h.converge("g", g); err != nil {
			t.Fatalf("%v", err)
		}
		_, steps := h.plan("g", nil)
		if rapid.Bool().Draw(t, "one fails") {
			h.host.FailNextDone("stop "+rapid.SampledFrom(hosttest.Containers).Draw(t, "who"), errFault)
		}
		_ = h.act(steps, rapid.IntRange(0, len(steps)).Draw(t, "steps"))
		if rapid.Bool().Draw(t, "and the keeper is another") {
			h.nextKeeper()
		}
		if _, err := h.converge("g", g); err != nil {
			t.Fatalf("%v", err)
		}
		if h.records.ended != nil {
			t.Fatalf("it is recorded as ended: %+v", h.records.ended)
		}
		apps := 0
		for _, c := range g.Containers {
			if c.Role == spec.App && h.host.PID("g", c.Name) == 0 {
				apps++
			}
		}
		if apps > 0 {
			t.Fatalf("%d apps don't run:\n%s", apps, h.host)
		}
		h.check(t)
	})
}
