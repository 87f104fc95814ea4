package keeper_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/runner"
)

// A noticedImages sends the reference of each image that is about to be retained.
type noticedImages struct {
	runner.ImageKeeper
	retains chan string
}

func (n *noticedImages) Retain(ctx context.Context, group string, generation int, image host.Image) error {
	n.retains <- image.Ref
	return n.ImageKeeper.Retain(ctx, group, generation, image)
}

// withNoticedImages calls do with what is retained, and has before called before each step.
func withNoticedImages(t *testing.T, before func(n *noticedImages, s plan.Step), do func(h *harness, n *noticedImages)) {
	t.Helper()
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		n := &noticedImages{retains: make(chan string, 100)}
		h.config = func(c *keeper.Config) {
			n.ImageKeeper, c.Images = c.Images, n
			c.Before = func(_ string, s plan.Step) { before(n, s) }
		}
		h.begin()
		do(h, n)
	})
}

// An apply retains images while it makes the network. containerd waits for the disk meanwhile.
func TestApplyRetainsBesideTheNetwork(t *testing.T) {
	sealed := false
	withNoticedImages(t, func(n *noticedImages, s plan.Step) {
		if s.Kind != plan.Seal {
			return
		}
		sealed = true
		select {
		case <-n.retains:
		case <-time.After(time.Minute):
			t.Error("nothing is retained before the network is made")
		}
	}, func(h *harness, _ *noticedImages) { h.mustApply("shop.hcl", shop) })
	if !sealed {
		t.Error("no network was made: this test can't fail")
	}
}

// Each image is retained once. One that can't be retained fails the creation, and not the steps
// before it.
func TestRetainedEarlyOnce(t *testing.T) {
	var steps []string
	withNoticedImages(t, func(_ *noticedImages, s plan.Step) { steps = append(steps, string(s.Kind)) }, func(h *harness, n *noticedImages) {
		for range 2 { // early, and at the step
			h.host.FailNext("retain registry.example/web:1", errBoom)
		}
		_, err := h.apply("shop.hcl", shop)
		if err == nil || !strings.Contains(err.Error(), errBoom.Error()) {
			t.Errorf("an image can't be retained, and apply returns %v", err)
		}
		if got := strings.Join(steps, " "); !strings.Contains(got, "connect mount create") || strings.Contains(got, "start") {
			t.Errorf("the steps are %s", got)
		}
		for len(n.retains) > 0 {
			<-n.retains
		}
		h.mustApply("shop.hcl", shop)
		images := map[string]int{}
		for len(n.retains) > 0 {
			images[<-n.retains]++
		}
		for ref, times := range images {
			if times != 1 {
				t.Errorf("%s was retained %d times", ref, times)
			}
		}
		if len(images) == 0 {
			t.Error("nothing was retained: this test can't fail")
		}
	})
}

// An image that could not be retained early is retained at its step: the steps before it may have
// taken minutes.
func TestRetainedAtTheStep(t *testing.T) {
	withNoticedImages(t, func(*noticedImages, plan.Step) {}, func(h *harness, _ *noticedImages) {
		h.host.FailNext("retain registry.example/web:1", errBoom)
		h.mustApply("shop.hcl", shop)
	})
}
