package shim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

const withTwo = `group "shop" {
  egress = "none"
  app "web" { image = "web:%d" }
  app "api" { image = "api:1" }
}`

func expectHeld(t *testing.T, d *desk, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, d.host.HeldImages()); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
}

func TestImagesAreHeldForEachGenerationThatIsKept(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", fmt.Sprintf(withTwo, 1))
		expectHeld(t, d, "shop 1: sha256:api:1 sha256:web:1")
		d.mustApply("shop.hcl", fmt.Sprintf(withTwo, 2))
		expectHeld(t, d, "shop 1: sha256:api:1 sha256:web:1", "shop 2: sha256:api:1 sha256:web:2")
		for i := 3; i <= 6; i++ {
			d.mustApply("shop.hcl", fmt.Sprintf(withTwo, i))
		}
		expectHeld(t, d,
			"shop 3: sha256:api:1 sha256:web:3", "shop 4: sha256:api:1 sha256:web:4", "shop 5: sha256:api:1 sha256:web:5", "shop 6: sha256:api:1 sha256:web:6")
		d.end()
		d.begin()
		if held := d.host.HeldImages(); len(held) != 4 {
			t.Errorf("after another keeper's start %q is held", held)
		}
		d.remove("shop.hcl")
		expectHeld(t, d)
	})
}

func TestImagesHeldForAGroupThatNobodyKnowsAreLetGo(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.end()
		if err := d.host.Images().Retain(t.Context(), "lost", 7, shim.Image{Ref: "web:1", Digest: "sha256:web:1"}); err != nil {
			t.Fatal(err)
		}
		d.begin()
		d.wait(time.Minute)
		expectHeld(t, d)
	})
}

func TestAGroupIsNotForgottenWhileItsImagesAreHeld(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.mustApply("shop.hcl", fmt.Sprintf(withTwo, 1))
		d.host.FailNext("release", errBoom)
		d.remove("shop.hcl")
		if _, err := d.keeper.Status("shop"); err != nil || len(d.host.HeldImages()) == 0 {
			t.Errorf("forgotten with an error of the release: %v, held %q", err, d.host.HeldImages())
		}
		d.wait(time.Minute)
		expectHeld(t, d)
	})
}

func TestWithoutAHoldNothingIsCreated(t *testing.T) {
	at(t, func(t *testing.T, d *desk) {
		d.host.FailNext("hold web:1", errBoom)
		if _, err := d.apply("shop.hcl", fmt.Sprintf(withTwo, 1)); err == nil || !strings.Contains(err.Error(), errBoom.Error()) {
			t.Errorf("error %v", err)
		}
		d.wait(time.Minute)
		expectHeld(t, d)
	})
}
