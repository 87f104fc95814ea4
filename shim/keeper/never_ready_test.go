package keeper_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

// A script that applies, starts or restarts a group gets a result in the end. The group goes on.
func TestACallForAGroupThatIsNeverReadyEnds(t *testing.T) {
	withTill(t, func(t *testing.T, h *harness) {
		h.host.Answer("till", "proxy", "ready", errRefusing)
		check := func(verb string, err error, took time.Duration) {
			t.Helper()
			problem, ok := errors.AsType[*hint.Error](err)
			if !ok || !strings.Contains(err.Error(), "not ready after 2m0s: waits for proxy (ambassador) to be ready: its ready probe failed") {
				t.Fatalf("%s: %v", verb, err)
			}
			if !strings.Contains(problem.Hint, "sallyport logs till.proxy") {
				t.Errorf("%s: hint %q", verb, problem.Hint)
			}
			if took < 2*time.Minute || took > 3*time.Minute {
				t.Errorf("%s took %s", verb, took)
			}
		}
		began := time.Now()
		_, err := h.apply("till.hcl", till)
		check("apply", err, time.Since(began))
		var lines []string
		began = time.Now()
		err = h.keeper.Start(context.Background(), "till", func(l string) { lines = append(lines, l) })
		check("start", err, time.Since(began))
		if len(lines) == 0 || !strings.HasPrefix(lines[0], "till: waits for proxy (ambassador) to be ready") {
			t.Errorf("progress of start: %q, want what it waits for", lines)
		}
		if st := h.status("till"); st.State != group.Starting {
			t.Errorf("the group is %s", st.State)
		}
	})
}

// A call waits for an init without a limit: it may still end well.
func TestACallWaitsForALongInit(t *testing.T) {
	withTill(t, func(t *testing.T, h *harness) {
		h.host.ExitAtOnce("till", "migrate", 0)
		var err error
		done := false
		go func() {
			err = h.keeper.Apply(context.Background(), bundles("till.hcl", till), nil)
			done = true
		}()
		h.wait(time.Hour)
		if done {
			t.Fatalf("apply has ended: %v", err)
		}
		h.exit("till", "fetch", 0)
		h.wait(time.Minute)
		if !done || err != nil {
			t.Errorf("done: %v, error %v", done, err)
		}
	})
}
