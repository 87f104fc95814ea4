package keeper_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/runner"
)

// A slowImages gives no list of what is retained until it is released.
type slowImages struct {
	runner.ImageKeeper
	asked   chan struct{}
	release chan struct{}
}

func (s *slowImages) Retained(ctx context.Context) (map[string][]int, error) {
	s.asked <- struct{}{}
	<-s.release
	return s.ImageKeeper.Retained(ctx)
}

// The images of generations that can't be gone back to are released after the caller has its
// result. Each takes containerd a write.
func TestApplyDoesNotWaitForOldImages(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		slow := &slowImages{asked: make(chan struct{}, 10), release: make(chan struct{})}
		h.config = func(c *keeper.Config) {
			slow.ImageKeeper, c.Images = c.Images, slow
		}
		h.begin()
		done := make(chan error, 1)
		go func() { done <- h.keeper.Apply(t.Context(), bundles("shop.hcl", shop), nil) }()
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("apply waits for the list of retained images")
		}
		if len(slow.asked) == 0 {
			t.Error("nothing asks for the list: this test can't fail")
		}
		close(slow.release)
		synctest.Wait()
		if len(h.host.Retentions()) == 0 {
			t.Error("no image is retained")
		}
	})
}
