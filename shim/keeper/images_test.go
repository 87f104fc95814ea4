package keeper_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
)

const withTwo = `group "shop" {
  egress = "none"
  app "web" { image = "web:%d" }
  app "api" { image = "api:1" }
}`

func expectRetained(t *testing.T, h *harness, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, h.host.RetainedImages()); diff != "" {
		t.Errorf("retained (-want +got):\n%s", diff)
	}
}

func TestImagesOfKeptGenerationsAreRetained(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", fmt.Sprintf(withTwo, 1))
		expectRetained(t, h, "shop 1: sha256:api:1 sha256:web:1")
		h.mustApply("shop.hcl", fmt.Sprintf(withTwo, 2))
		expectRetained(t, h, "shop 1: sha256:api:1 sha256:web:1", "shop 2: sha256:api:1 sha256:web:2")
		for i := 3; i <= 6; i++ {
			h.mustApply("shop.hcl", fmt.Sprintf(withTwo, i))
		}
		expectRetained(t, h,
			"shop 3: sha256:api:1 sha256:web:3", "shop 4: sha256:api:1 sha256:web:4", "shop 5: sha256:api:1 sha256:web:5", "shop 6: sha256:api:1 sha256:web:6")
		h.end()
		h.begin()
		if retained := h.host.RetainedImages(); len(retained) != 4 {
			t.Errorf("after another keeper's start %q is retained", retained)
		}
		h.remove("shop.hcl")
		expectRetained(t, h)
	})
}

const ofOneImage = `group "shop" {
  egress = "none"
  init "first" { image = "web:1" }
  sidecar "side" { image = "web:1" }
  app "web" {
    image = "web:1"
    env   = { N = "%d" }
  }
  app "api" { image = "api:1" }
}`

// Retaining an image makes containerd write to disk.
func TestAnImageIsRetainedOnceAGeneration(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		expect := func(when string, want ...string) {
			t.Helper()
			got := h.host.Retentions()
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		h.host.ExitAtOnce("shop", "first", 0)
		h.mustApply("shop.hcl", fmt.Sprintf(ofOneImage, 1))
		expect("applied", "shop 1: sha256:api:1", "shop 1: sha256:web:1")
		h.mustApply("shop.hcl", fmt.Sprintf(ofOneImage, 2))
		both := []string{"shop 1: sha256:api:1", "shop 1: sha256:web:1", "shop 2: sha256:api:1", "shop 2: sha256:web:1"}
		expect("applied again", both...)
		h.host.Exit("shop", "web", 1)
		h.wait(time.Minute)
		expect("after an app's end", both...)
	})
}

func TestImagesOfUnknownGroupsAreReleased(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		if err := h.host.Images().Retain(t.Context(), "lost", 7, host.Image{Ref: "web:1", Digest: "sha256:web:1"}); err != nil {
			t.Fatal(err)
		}
		h.begin()
		h.wait(time.Minute)
		expectRetained(t, h)
	})
}

func TestAGroupIsNotForgottenWhileItsImagesAreRetained(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", fmt.Sprintf(withTwo, 1))
		h.host.FailNext("release", errBoom)
		h.remove("shop.hcl")
		if _, err := h.keeper.Status("shop"); err != nil || len(h.host.RetainedImages()) == 0 {
			t.Errorf("forgotten with an error of the release: %v, retained %q", err, h.host.RetainedImages())
		}
		h.wait(time.Minute)
		expectRetained(t, h)
	})
}

func TestNothingIsCreatedWithoutRetention(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		failAlways(h, "retain web:1", errBoom)
		if _, err := h.apply("shop.hcl", fmt.Sprintf(withTwo, 1)); err == nil || !strings.Contains(err.Error(), errBoom.Error()) {
			t.Errorf("error %v", err)
		}
		h.wait(time.Minute)
		expectRetained(t, h)
	})
}
