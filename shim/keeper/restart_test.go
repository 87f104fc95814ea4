package keeper_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
)

func TestRestart(t *testing.T) {
	for _, tt := range []struct {
		name, group, container string
		want                   []string
		err                    error
	}{
		{"a container", "shop", "web", []string{"stop web", "remove web", "create web", "start web"}, nil},
		{"a group of one", "job", "", []string{"stop once", "remove once", "create once", "start once"}, nil},
		{"no such group", "shoop", "", nil, group.ErrNoGroup},
		{"no such container", "shop", "wob", nil, group.ErrNoContainer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("all.hcl", shop+job)
				if err := h.keeper.Restart(context.Background(), tt.group, tt.container, nil); !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				h.did(tt.want...)
			})
		})
	}
}

func TestRestartDoesNotWait(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.exit("shop", "web", 1)
		h.wait(0)
		if err := h.keeper.Restart(context.Background(), "shop", "web", nil); err != nil {
			t.Fatal(err)
		}
		h.did("remove web", "create web", "start web")
	})
}

func TestRestartResetsTheCountOfEnds(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		h.exit("shop", "web", 1)
		h.wait(time.Second)
		h.exit("shop", "web", 1)
		if err := h.keeper.Restart(context.Background(), "shop", "web", nil); err != nil {
			t.Fatal(err)
		}
		h.exit("shop", "web", 1)
		if got := time.Until(h.status("shop").Containers[2].NextStart); got != time.Second {
			t.Errorf("waits %s, want the first wait", got)
		}
	})
}

func TestRestartOfTheWholeGroupKeepsTheOrder(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.mustApply("shop.hcl", shop)
		var lines []string
		if err := h.keeper.Restart(context.Background(), "shop", "", func(l string) { lines = append(lines, l) }); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"shop: stop web (app), grace 10s", "shop: stop shipper (sidecar), grace 10s", "shop: stop proxy (ambassador), grace 10s",
			"shop: remove web (app), shipper (sidecar), proxy (ambassador)",
			"shop: create proxy (ambassador), shipper (sidecar), web (app)",
			"shop: start proxy (ambassador)", "shop: start shipper (sidecar)", "shop: start web (app)", "shop: running",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
	})
}
