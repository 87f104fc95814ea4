package runner_test

import (
	"errors"
	"testing"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/runner"
)

// A generation was reverted, which fails the request for it. An operator asks for something else
// before the next reconciliation, which ends both requests.
func TestAFailedRequestLeavesLaterRequestsTheirResult(t *testing.T) {
	h := newHarness()
	r := runner.New("shop", nil, "", h.config, nil)
	errReverted := errors.New("reverted")
	reverted, next := runner.NewWaiter(), runner.NewWaiter()
	r.Want(nil, nil, reverted)
	r.FailWaiters(errReverted)
	r.Want(nil, nil, next)
	r.Finish(runner.Result{State: group.Running})
	for _, tt := range []struct {
		name   string
		waiter *runner.Waiter
		want   error
	}{
		{"the request for the reverted generation", reverted, errReverted},
		{"the request after it", next, nil},
	} {
		results, err := tt.waiter.Wait(t.Context(), 1, func(string) {}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := results["shop"]; !errors.Is(got.Err, tt.want) || got.State != group.Running {
			t.Errorf("%s: %+v, want error %v", tt.name, got, tt.want)
		}
	}
}
